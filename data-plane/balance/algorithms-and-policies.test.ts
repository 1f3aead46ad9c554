import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultBalancing } from "../config/balancing-config.ts";
import { defaultResilience, type PanicMode } from "../config/resilience-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import type { EndpointFlag } from "./endpoint-state.ts";
import { explainRotation } from "./explain-rotation.ts";
import { hashRings } from "./hash-ring.ts";
import { createPicker, type PickQuestion } from "./picker.ts";

const algorithms = ["round-robin", "least-connections", "consistent-hashing", "latency", "sticky-sessions"] as const;
const policies = ["tiers", "overflow", "zones", "ramps", "limits", "bounded", "drains"] as const;
const panicModes: readonly PanicMode[] = ["fail_open", "fail_open_unchecked", "fail_closed", "last_good"];
const flags: readonly EndpointFlag[] = ["ejected", "unhealthy", "forced_out"];

interface GivenEndpoint {
  readonly weight: number;
  readonly priority: number;
  readonly isLocal: boolean;
  readonly maxInFlight: number;
  readonly inFlight: number;
  readonly ramp: number;
  readonly flag: EndpointFlag | null;
  readonly latencyUs: number;
}

interface Case {
  readonly policies: readonly (typeof policies)[number][];
  readonly mode: PanicMode;
  readonly thresholdPercent: number;
  readonly endpoints: readonly GivenEndpoint[];
  readonly hashes: readonly number[];
  readonly stickyTo: number;
}

const givenEndpoint: fc.Arbitrary<GivenEndpoint> = fc.record({
  weight: fc.constantFrom(0, 1, 2, 7, 100),
  priority: fc.nat(2),
  isLocal: fc.boolean(),
  maxInFlight: fc.nat(3),
  inFlight: fc.nat(3),
  ramp: fc.constantFrom(0, 100, 1_000, 1_000),
  flag: fc.constantFrom(null, null, null, ...flags),
  latencyUs: fc.constantFrom(0, 1_000, 50_000),
});

const anyCase: fc.Arbitrary<Case> = fc.record({
  policies: fc.subarray([...policies]),
  mode: fc.constantFrom(...panicModes),
  thresholdPercent: fc.constantFrom(0, 0, 30, 60),
  endpoints: fc.array(givenEndpoint, { minLength: 1, maxLength: 9 }),
  hashes: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 3, maxLength: 6 }),
  stickyTo: fc.integer({ min: -1, max: 8 }),
});

describe.each(algorithms)("%s, with every endpoint policy", (algorithm) => {
  it("picks by the rules that all algorithms share", () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const rig = rigOf(algorithm, given);
        for (const hash of given.hashes) {
          const tried: EndpointConfig[] = [];
          // Each is tried, and then one more time.
          for (let attempt = 0; attempt <= rig.endpoints.length; attempt++) {
            const question = { tried: [...tried], hash, stickyKey: rig.stickyKey, startedAtMs: 10 };
            const seen = rig.picker.peek(question);
            const picked = rig.picker.pick(question);
            expect(seen).toBe(picked);
            holdRules(rig, question, picked);
            if (picked === null) break;
            tried.push(picked);
          }
        }
      }),
      // Rings take their time to build.
      { numRuns: algorithm === "consistent-hashing" ? 80 : 400 },
    );
  });

  it("gives the same picks again, and to another worker that stands at the same turn", () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const [one, other] = [rigOf(algorithm, given), rigOf(algorithm, given)];
        for (const hash of given.hashes) {
          const question = { tried: [], hash, stickyKey: one.stickyKey, startedAtMs: 10 };
          expect(other.picker.pick(question)?.row).toBe(one.picker.pick(question)?.row);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("consistent-hashing, with every endpoint policy", () => {
  it("picks the same in any order of the endpoints, and whatever their rows", () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const [one, other] = [rigOf("consistent-hashing", given), rigOf("consistent-hashing", given, true)];
        for (const hash of given.hashes) {
          const tried: [EndpointConfig[], EndpointConfig[]] = [[], []];
          for (let attempt = 0; attempt < 3; attempt++) {
            const question = { hash, stickyKey: "", startedAtMs: 10 };
            const picked = one.picker.pick({ ...question, tried: tried[0] });
            const pickedByOther = other.picker.pick({ ...question, tried: tried[1] });
            expect(pickedByOther?.port).toBe(picked?.port);
            if (picked === null) break;
            tried[0].push(picked);
            tried[1].push(pickedByOther!);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("round-robin", () => {
  it("is exact over one turn of the wheel with any subset out", () => {
    const endpoint = fc.record({ weight: fc.integer({ min: 1, max: 30 }), isOut: fc.boolean() });
    fc.assert(
      fc.property(fc.array(endpoint, { minLength: 1, maxLength: 12 }), fc.nat(1_000), (given, skipped) => {
        const endpoints = given.map(({ weight }, row) => testEndpoint({ row, port: 9_000 + row, weight }));
        const state = new FakeEndpointState();
        for (const [row, { isOut }] of given.entries()) if (isOut) state.set(row, "ejected");
        const picker = createPicker(testPool(), testSet(endpoints), state);
        for (let i = 0; i < skipped; i++) state.advanceCursor();
        const inUse = given.some(({ isOut }) => !isOut) ? endpoints.filter(({ row }) => !given[row]!.isOut) : endpoints;
        const weightSum = inUse.reduce((sum, { weight }) => sum + weight, 0);
        const counts = new Map<number, number>();
        for (let i = 0; i < weightSum; i++) {
          const { row } = picker.pick({ tried: [], hash: 0, stickyKey: "", startedAtMs: 0 })!;
          counts.set(row, (counts.get(row) ?? 0) + 1);
        }
        expect(counts).toEqual(new Map(inUse.map(({ row, weight }) => [row, weight])));
      }),
    );
  });

  it("gives each endpoint the share that explainRotation tells, with tiers, zones and slow start", () => {
    fc.assert(
      fc.property(anyCase, (given) => {
        const rest = given.policies.filter((policy) => policy !== "limits");
        const rig = rigOf("round-robin", { ...given, policies: rest });
        const turns = 20_000;
        const counts = new Map<number, number>();
        for (let i = 0; i < turns; i++) {
          const row = rig.picker.pick({ tried: [], hash: 0, stickyKey: "", startedAtMs: 0 })?.row ?? -1;
          counts.set(row, (counts.get(row) ?? 0) + 1);
        }
        for (const { endpoint, share } of explainRotation(rig.pool, rig.endpoints, rig.state))
          expect(Math.abs((counts.get(endpoint.row) ?? 0) / turns - share)).toBeLessThan(0.01);
      }),
      { numRuns: 40 },
    );
  });
});

type Rig = ReturnType<typeof rigOf>;

/** What picker.ts says of every algorithm. */
function holdRules(rig: Rig, { tried }: PickQuestion, picked: EndpointConfig | null): void {
  const { picker, state, places, holder } = rig;
  const isTried = ({ row }: EndpointConfig) => tried.some((each) => each.row === row);
  const hasRoom = ({ row, maxInFlight }: EndpointConfig) => maxInFlight === 0 || state.inFlight(row) < maxInFlight;
  const nobodyIsToGet = !places.some(({ role }) => role === "in_use");
  const ofRole = (...roles: string[]) =>
    places.filter(({ role }) => roles.includes(role)).map(({ endpoint }) => endpoint);
  const pickable = [...(nobodyIsToGet ? [] : ofRole("in_use", "reserve", "held_back", "ejected")), ...holder];
  if (picked === null) {
    expect(pickable.filter(hasRoom)).toEqual([]);
    expect(picker.isFull).toBe(pickable.length > 0);
    return;
  }
  expect(picker.isFull).toBe(false);
  expect(state.has(picked.row, "forced_out")).toBe(false);
  expect(hasRoom(picked)).toBe(true);
  if (holder.includes(picked) && !isTried(picked)) return;
  holdTiers(rig, picked, (each) => !isTried(each) && hasRoom(each));
  if (holder.some((each) => !isTried(each) && hasRoom(each))) expect(holder).toContain(picked);
  if (isTried(picked)) {
    expect(pickable.filter((each) => !isTried(each) && hasRoom(each))).toEqual([]);
    return;
  }
  const role = places.find(({ endpoint }) => endpoint.row === picked.row)!.role;
  const isFree = (each: EndpointConfig) => !isTried(each) && hasRoom(each);
  if (role !== "in_use") expect(ofRole("in_use").filter(isFree)).toEqual([]);
  else return;
  expect(["reserve", "held_back", "ejected"]).toContain(role);
  if (role === "ejected") expect(ofRole("reserve", "held_back").filter(isFree)).toEqual([]);
  // The first tier that has one left, whatever the reserve is for.
  else
    for (const each of ofRole("reserve", "held_back").filter(isFree))
      expect(each.priority).toBeGreaterThanOrEqual(picked.priority);
}

/** Known without asking the rotation: with nothing but tiers, no tier gets a request that one before it could take. */
function holdTiers(
  { given, places, state }: Rig,
  picked: EndpointConfig,
  isFree: (each: EndpointConfig) => boolean,
): void {
  if (given.thresholdPercent > 0 || given.policies.some((policy) => !["tiers", "limits", "drains"].includes(policy)))
    return;
  const isAvailable = (each: EndpointConfig) => each.weight > 0 && !state.isOut(each.row) && isFree(each);
  const free = places.map(({ endpoint }) => endpoint).filter(isAvailable);
  if (free.length > 0) expect(picked.priority).toBe(Math.min(...free.map(({ priority }) => priority)));
}

function rigOf(algorithm: PoolConfig["algorithm"], given: Case, isReversed = false) {
  const has = (policy: (typeof policies)[number]) => given.policies.includes(policy);
  const drains = algorithm === "sticky-sessions" && has("drains");
  const count = given.endpoints.length;
  const rowOf = (i: number) => (isReversed ? count - 1 - i : i);
  const endpoints = given.endpoints.map((each, i) =>
    testEndpoint({
      row: rowOf(i),
      port: 9_000 + i,
      weight: drains ? each.weight : Math.max(1, each.weight),
      priority: has("tiers") ? each.priority : 0,
      isLocal: !has("zones") || each.isLocal,
      maxInFlight: has("limits") ? each.maxInFlight : 0,
      stickyKey: algorithm === "sticky-sessions" ? `s${i}` : "",
    }),
  );
  if (isReversed) endpoints.reverse();
  const state = new FakeEndpointState();
  for (const [i, { flag, ramp, inFlight, latencyUs }] of given.endpoints.entries()) {
    const row = rowOf(i);
    if (flag !== null) state.set(row, flag);
    if (has("ramps")) state.setRamp(0, row, ramp);
    for (let n = 0; n < inFlight; n++) state.attemptBegins(0, row);
    if (latencyUs > 0) state.setLatency(row, latencyUs, 0);
  }
  const pool = testPool({
    algorithm,
    resilience: { ...defaultResilience, panic: { mode: given.mode, thresholdPercent: given.thresholdPercent } },
    balancing: {
      ...defaultBalancing,
      hash: { on: { kind: "ip" }, fallback: null, boundedLoad: has("bounded") ? 1.25 : null },
      failover: { overflowThresholdPercent: has("overflow") ? 70 : 0, failBackDelayMs: 0 },
      zones: has("zones") ? { spillThresholdPercent: 70 } : null,
    },
  });
  const rings = algorithm === "consistent-hashing" ? hashRings(endpoints, 10) : null;
  const picker = createPicker(pool, testSet(endpoints, { rings }), state);
  const places = explainRotation(pool, endpoints, state);
  const stickyKey = algorithm === "sticky-sessions" && given.stickyTo >= 0 ? `s${given.stickyTo}` : "";
  return { given, picker, pool, endpoints, state, places, stickyKey, holder: holderOf(stickyKey, places, pool) };
}

/** Who keeps the session, as a list of one or none. */
function holderOf(stickyKey: string, places: ReturnType<typeof explainRotation>, pool: PoolConfig): EndpointConfig[] {
  const { mode } = pool.resilience.panic;
  const hasWeight = places.some(({ endpoint }) => endpoint.weight > 0);
  const isClosed = mode === "fail_closed" && hasWeight && !places.some(({ role }) => role === "in_use");
  const isHolder = ({ endpoint, role }: (typeof places)[number]) =>
    stickyKey !== "" && endpoint.stickyKey === stickyKey && role !== "out" && role !== "ejected";
  return isClosed ? [] : places.filter(isHolder).map(({ endpoint }) => endpoint);
}
