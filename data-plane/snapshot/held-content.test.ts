import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StateHash, stateHashOf } from "../../proto/state-hash.ts";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import { type ChangedContent, HeldContent } from "./held-content.ts";

const entity = (kind: string, id: string, body = "x"): SnapshotEntity => ({ kind, id, body: Buffer.from(body) });

function contentOf(entities: readonly SnapshotEntity[]): HeldContent {
  const hash = new StateHash();
  for (const one of entities) hash.set(one);
  return HeldContent.of(entities, hash);
}

function changed(outcome: ChangedContent): HeldContent {
  if (!outcome.ok) throw new Error(outcome.problem);
  return outcome.content;
}

const three = [entity("route", "b"), entity("upstream", "a"), entity("route", "a")];

describe("HeldContent", () => {
  it("is laid out by kind and id, whatever way it came", () => {
    const names = (content: HeldContent) => content.entities.map(({ kind, id }) => `${kind}/${id}`);
    expect(names(contentOf(three))).toEqual(["route/a", "route/b", "upstream/a"]);
    const grown = changed(contentOf(three).with([entity("route", "aa"), entity("upstream", "b")], []));
    expect(names(grown)).toEqual(["route/a", "route/aa", "route/b", "upstream/a", "upstream/b"]);
  });

  it("arrives by changes where the whole arrives, and stays as it was itself", () => {
    const arbitrary = fc.uniqueArray(
      fc.record({
        kind: fc.constantFrom("upstream", "target", "route"),
        id: fc.string({ minLength: 1, maxLength: 2, unit: fc.constantFrom("a", "b", "c", "é") }),
        body: fc.uint8Array({ maxLength: 4 }),
      }),
      { selector: ({ kind, id }) => `${kind}/${id}`, maxLength: 20 },
    );
    fc.assert(
      fc.property(arbitrary, arbitrary, (before, after) => {
        const base = contentOf(before);
        const upserts = after.filter(({ kind, id, body }) => {
          const former = before.find((one) => one.kind === kind && one.id === id);
          return former === undefined || Buffer.compare(former.body, body) !== 0;
        });
        const isLeft = ({ kind, id }: SnapshotEntity) => after.some((one) => one.kind === kind && one.id === id);
        const content = changed(
          base.with(
            upserts,
            before.filter((one) => !isLeft(one)),
          ),
        );
        const whole = contentOf(after);
        expect(content.entities).toEqual(whole.entities);
        expect(content.bodyBytes).toBe(whole.bodyBytes);
        expect(content.stateHash()).toEqual(stateHashOf(after));
        expect(base.entities).toEqual(contentOf(before).entities);
        expect(base.stateHash()).toEqual(stateHashOf(before));
      }),
      { numRuns: 100 },
    );
  });

  it("shares what was not changed", () => {
    const base = contentOf(three);
    const content = changed(base.with([entity("upstream", "a", "new")], [{ kind: "route", id: "b" }]));
    expect(content.entities[0]).toBe(base.entities[0]);
    expect(content.entities).toHaveLength(2);
  });

  it.each([
    { name: "takes out what is not there", upserts: [], deletes: ["route/c"], at: "c" },
    { name: "takes out one thing twice", upserts: [], deletes: ["route/a", "route/a"], at: "a" },
    { name: "sets one thing twice", upserts: ["route/c", "route/c"], deletes: [], at: "c" },
    { name: "sets and takes out one thing", upserts: ["route/b"], deletes: ["route/b"], at: "b" },
  ])("does not fit a change that $name", ({ upserts, deletes, at }) => {
    const base = contentOf(three);
    const keys = (names: readonly string[]) => names.map((name) => entity(...(name.split("/") as [string, string])));
    const keysOnly = keys(deletes).map(({ kind, id }) => ({ kind, id }));
    expect(base.with(keys(upserts), keysOnly)).toMatchObject({ ok: false, entity: { kind: "route", id: at } });
    expect(base.stateHash()).toEqual(stateHashOf(three));
  });
});
