import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HashedEntity, isSameHash, StateHash, stateHashOf } from "./state-hash.ts";

const upstream: HashedEntity = {
  kind: "upstream",
  id: "0f7e9b5e-3a55-4c43-9a4e-0d8f6f1b2c3d",
  body: Buffer.from("0a0375703112", "hex"),
};
const three = [
  upstream,
  { kind: "target", id: "t1", body: Buffer.from("127.0.0.1:80") },
  { kind: "route", id: "r-é", body: Buffer.from("/mock") },
];
const thousand = Array.from({ length: 1_000 }, (_, n) => ({
  kind: "service",
  id: `s${n}`,
  body: Uint8Array.of(n & 255, n >> 8),
}));

// Computed once with another language's SHA-256: what any implementation of a node must arrive at.
const vectors = [
  { name: "nothing", entities: [], want: "0e89e7ed74c9a5944c886585d634e3c68f4dccd0a31968fe52d6df0873ccdec6" },
  {
    name: "one upstream",
    entities: [upstream],
    want: "badd8d2debf43762a772726ad0b923497311032c5e26e21c9af93aef806bf54f",
  },
  {
    name: "an empty body",
    entities: [{ kind: "route", id: "a", body: new Uint8Array() }],
    want: "ce74e91129662cc6dec56efa16768a5872fbddd66541ad93ca451d594ebb212e",
  },
  { name: "three kinds", entities: three, want: "e1b5be81cfbf7eca27d4886a0457ed76184873e97944707718a6b74616e38eb6" },
  {
    name: "shared buckets",
    entities: thousand,
    want: "a8ce7a86ed47b26bd0449d02ab3b79808cacd6e454e2cf54bb1e5d9ad9bd8247",
  },
];

describe("stateHashOf", () => {
  it.each(vectors)("gives the published vector for $name", ({ entities, want }) => {
    expect(Buffer.from(stateHashOf(entities)).toString("hex")).toBe(want);
  });

  it("agrees with a straightforward computation, whatever the order of the entities", () => {
    fc.assert(
      fc.property(arbitraryState(), fc.nat(), (entities, seed) => {
        const rotated = entities.map((_, i) => entities[(i + seed) % entities.length]!);
        expect(stateHashOf(rotated)).toEqual(straightforwardStateHash(entities));
      }),
      { numRuns: 50 },
    );
  });
});

describe("StateHash", () => {
  it("arrives by single changes where a fresh computation arrives", () => {
    fc.assert(
      fc.property(arbitraryState(), arbitraryState(), (before, after) => {
        const state = new StateHash();
        for (const entity of before) state.set(entity);
        state.digest();
        for (const { kind, id } of before) state.delete(kind, id);
        for (const entity of after) state.set(entity);
        expect(state.digest()).toEqual(stateHashOf(after));
        expect(state.size).toBe(after.length);
      }),
      { numRuns: 50 },
    );
  });

  it("changes the hash of one bucket only when one resource changes", () => {
    const state = new StateHash();
    for (const entity of thousand) state.set(entity);
    const before = state.bucketHashes();
    expect(state.set({ ...thousand[7]!, body: Buffer.from("other") })).toBe(false);
    const after = state.bucketHashes();
    const differing = Array.from({ length: 256 }, (_, i) => i).filter(
      (i) => !isSameHash(before.subarray(i * 32, i * 32 + 32), after.subarray(i * 32, i * 32 + 32)),
    );
    expect(differing).toHaveLength(1);
  });

  it("leaves a fork and what it was forked of alone", () => {
    fc.assert(
      fc.property(arbitraryState(), arbitraryState(), arbitraryState(), (before, mine, others) => {
        const state = new StateHash();
        for (const entity of before) state.set(entity);
        const fork = state.fork();
        const forkOfFork = fork.fork();
        for (const [changed, entities] of [
          [state, mine],
          [fork, others],
        ] as const) {
          for (const { kind, id } of before) changed.delete(kind, id);
          for (const entity of entities) changed.set(entity);
        }
        expect(state.digest()).toEqual(stateHashOf(mine));
        expect(fork.digest()).toEqual(stateHashOf(others));
        expect(forkOfFork.digest()).toEqual(stateHashOf(before));
        expect([state.size, fork.size, forkOfFork.size]).toEqual([mine.length, others.length, before.length]);
      }),
      { numRuns: 50 },
    );
  });

  it("says whether a resource was new or there", () => {
    const state = new StateHash();
    expect([state.set(upstream), state.set(upstream)]).toEqual([true, false]);
    expect([state.delete("upstream", upstream.id), state.delete("upstream", upstream.id)]).toEqual([true, false]);
    expect(state.digest()).toEqual(stateHashOf([]));
  });
});

function arbitraryState() {
  const entity = fc.record({
    kind: fc.constantFrom("upstream", "target", "service", "route"),
    id: fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom("a", "b", "c", "é") }),
    body: fc.uint8Array({ maxLength: 8 }),
  });
  return fc.uniqueArray(entity, { selector: ({ kind, id }) => `${kind}/${id}`, maxLength: 30 });
}

/** The definition, word by word, with nothing kept between calls. */
function straightforwardStateHash(entities: readonly HashedEntity[]): Uint8Array {
  const zero = Buffer.of(0);
  const pairs = entities.map(({ kind, id, body }) => {
    const key = createHash("sha256").update(kind).update(zero).update(id).digest();
    const resource = createHash("sha256").update(kind).update(zero).update(id).update(zero).update(body).digest();
    return Buffer.concat([key, resource]);
  });
  pairs.sort(Buffer.compare);
  const root = createHash("sha256");
  for (let bucket = 0; bucket < 256; bucket++) {
    const bucketHash = createHash("sha256");
    for (const pair of pairs) if (pair[0] === bucket) bucketHash.update(pair);
    root.update(bucketHash.digest());
  }
  return new Uint8Array(root.digest());
}
