import { describe, expect, it } from "vitest";
import type { SnapshotEntity } from "./apply-snapshot.ts";
import {
  limits,
  readPlan,
  route,
  service,
  snapshot,
  target,
  trial,
  upstream,
} from "./compile-snapshot.test-entities.ts";
import { compileSnapshot } from "./compile-snapshot.ts";

/** Field 2,000 of any message, as bytes: of a version of the contract that is not written yet. */
const unknownField = Buffer.from([0x82, 0x7d, 3, 1, 2, 3]);

const withUnknownField = (entity: SnapshotEntity): SnapshotEntity => ({
  ...entity,
  body: new Uint8Array(Buffer.concat([entity.body, unknownField])),
});

const entities = [
  upstream({ id: "u1", name: "backend" }),
  target({ id: "t1", target: "127.0.0.1:80", upstream: { id: "u1" }, weight: 100 }),
  service({ id: "s1", host: "backend" }),
  route({ id: "r1", paths: ["/a"], service: { id: "s1" } }),
];

describe("row 14: compileSnapshot of a control plane that is newer than this node", () => {
  it("takes no notice of fields that it does not know", () => {
    const known = compileSnapshot(snapshot(entities), limits, trial);
    const newer = compileSnapshot(snapshot(entities.map(withUnknownField)), limits, trial);
    if (!known.ok || !newer.ok) throw new Error(JSON.stringify([known, newer]));
    expect(readPlan(known.plan).routes).toHaveLength(1);
    expect(readPlan(newer.plan)).toEqual(readPlan(known.plan));
  });

  it("refuses a kind that it does not know, and names it, so that the control plane holds it back", () => {
    const plugin = { kind: "plugin", id: "p1", body: new Uint8Array(unknownField) };
    expect(compileSnapshot(snapshot([...entities, plugin]), limits, trial)).toMatchObject({
      ok: false,
      refusal: { reason: "unknown_kind", entityKind: "plugin", entityId: "p1" },
    });
  });
});
