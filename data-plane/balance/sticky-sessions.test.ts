import { describe, expect, it } from "vitest";
import { defaultResilience, type PanicMode } from "../config/resilience-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { createPicker } from "./picker.ts";

describe("StickySessions", () => {
  it("keeps a session where it is, and takes nobody's turn for it", () => {
    const { pick } = pickerOf([{}, {}, {}]);
    const rows = Array.from({ length: 6 }, () => [pick("s2"), pick("")]);
    expect(rows.map(([held]) => held)).toEqual([2, 2, 2, 2, 2, 2]);
    expect(rows.map(([, fresh]) => fresh)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it("gives new sessions by weight, and those that name nobody", () => {
    const { pick } = pickerOf([{ weight: 3 }, { weight: 1 }]);
    expect(Array.from({ length: 8 }, () => pick("unheard of"))).toEqual([0, 0, 1, 0, 0, 0, 1, 0]);
  });

  it.each([
    { name: "of weight 0", given: { weight: 0 } },
    { name: "of a tier that is not asked", given: { priority: 3 } },
    { name: "that is held back", given: {}, ramp: 0 },
  ])("keeps sessions at an endpoint $name, which gets no new ones", ({ given, ramp = 1_000 }) => {
    const { pick, state } = pickerOf([{}, given]);
    state.setRamp(0, 1, ramp);
    for (let i = 0; i < 4; i++) {
      expect(pick("s1")).toBe(1);
      expect(pick("")).toBe(0);
    }
  });

  it("keeps sessions where all are drained, and gives no new ones", () => {
    const { pick, picker } = pickerOf([{ weight: 0 }, { weight: 0 }]);
    expect(pick("s1")).toBe(1);
    expect(pick("")).toBeNull();
    expect(picker.isFull).toBe(false);
  });

  it("moves a session whose endpoint is out, and has it back", () => {
    const { pick, state } = pickerOf([{}, {}]);
    state.set(1, "unhealthy");
    expect(pick("s1")).toBe(0);
    state.readmit(1);
    expect(pick("s1")).toBe(1);
  });

  it.each<{ mode: PanicMode; want: number | null }>([
    { mode: "fail_open", want: 1 },
    { mode: "last_good", want: 1 },
    { mode: "fail_closed", want: null },
  ])("in a panic with $mode gives a session $want", ({ mode, want }) => {
    const { pick, state } = pickerOf([{}, {}], mode);
    state.set(0, "ejected");
    state.set(1, "ejected");
    for (let i = 0; i < 3; i++) expect(pick("s1")).toBe(want);
  });

  it("keeps sessions at a drained endpoint while checks have taken out all of the others", () => {
    const { pick, state } = pickerOf([{}, { weight: 0 }], "fail_open_unchecked");
    state.set(0, "unhealthy");
    expect(pick("s1")).toBe(1);
    expect(pick("")).toBeNull();
  });

  it("moves a request whose endpoint is at its limit, or tried", () => {
    const { pick, picker, state, endpoints } = pickerOf([{}, { maxInFlight: 1 }]);
    expect(pick("s1", [endpoints[1]!])).toBe(0);
    state.attemptBegins(0, 1);
    expect(pick("s1")).toBe(0);
    expect(picker.isFull).toBe(false);
  });

  it("says that it is full when a drained endpoint is at its limit and there is no other", () => {
    const { pick, picker, state, endpoints } = pickerOf([{ weight: 0, maxInFlight: 1 }]);
    expect(pick("s0", [endpoints[0]!])).toBe(0);
    state.attemptBegins(0, 0);
    expect(pick("s0")).toBeNull();
    expect(picker.isFull).toBe(true);
  });

  it("shows who has a session without moving anything", () => {
    const { picker, state } = pickerOf([{}, {}]);
    const question = { tried: [], hash: 0, stickyKey: "s1", startedAtMs: 0 };
    expect(picker.peek(question)?.row).toBe(1);
    expect(picker.peek({ ...question, stickyKey: "" })?.row).toBe(0);
    expect(state.cursor()).toBe(0);
  });
});

function pickerOf(given: readonly Partial<EndpointConfig>[], mode: PanicMode = "fail_open") {
  const endpoints = given.map((each, row) => testEndpoint({ row, port: 9_000 + row, stickyKey: `s${row}`, ...each }));
  const state = new FakeEndpointState();
  const resilience = { ...defaultResilience, panic: { thresholdPercent: 0, mode } };
  const pool = testPool({ algorithm: "sticky-sessions", resilience });
  const picker = createPicker(pool, testSet(endpoints), state);
  const pick = (stickyKey: string, tried: readonly EndpointConfig[] = []) =>
    picker.pick({ tried, hash: 0, stickyKey, startedAtMs: 0 })?.row ?? null;
  return { picker, pick, state, endpoints };
}
