import { describe, expect, it } from "vitest";
import { startSecuredHub } from "../../test/support/identity-rig.ts";
import { resourceOf } from "../../test/support/subset-edits.ts";
import { all, until } from "../../test/support/sync-hub-rig.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";

const a = "aaaaaaaa-0000-4000-8000-000000000001";
const b = "bbbbbbbb-0000-4000-8000-000000000002";

function writeOf({ kind, id, body }: StoredResource, operation: "create" | "update" = "create"): ResourceWrite {
  return { kind, id, body, operation, expectedRevision: null, uniqueKeys: [], references: [] };
}

const upstream = (id: string, ...nodeSelector: string[]) =>
  writeOf(resourceOf("upstream", { id, name: id, nodeSelector }));

/** A hub with a node in the EU and one in the US, each of which serves what it was sent. */
async function twoZones() {
  const rig = await startSecuredHub();
  await rig.store.transact([upstream("all"), upstream("eu", "zone=eu"), upstream("us", "zone=us")], "test");
  const keys = await rig.joinNew(a, { labels: { zone: "eu" } });
  const node = rig.connect(keys);
  node.hello(a);
  const there = rig.connect(await rig.joinNew(b, { labels: { zone: "us" } }));
  there.hello(b);
  const snapshots = [await node.ackNextSnapshot(), await there.ackNextSnapshot()] as const;
  await until(rig.hub, (fleet) => fleet.nodes().filter(({ publication }) => publication > 0).length === 2);
  rig.clock.advance(1_000);
  return { rig, keys, node, there, ids: snapshots.map(({ entities }) => entities.map(({ id }) => id)) };
}

describe("S25: nodes with labels", () => {
  it("get what their tokens' labels select, whatever they say of themselves, and nothing of other changes", async () => {
    const { rig, node, there, ids } = await twoZones();
    expect(ids).toEqual([
      ["all", "eu"],
      ["all", "us"],
    ]);
    const outcome = await rig.store.transact([upstream("eu2", "zone=eu")], "test");
    const revision = outcome.ok ? outcome.revision : 0;
    await node.ackNextSnapshot();
    expect(await rig.hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 2, nodeCount: 2 });
    expect(["delta", "snapshotBegin", "upToDate"].map((kind) => there.unreadCount(kind as "delta"))).toEqual([0, 0, 0]);
    expect(rig.hub.fleet.nodes().map(({ lag, revision: served }) => [lag, served])).toEqual([
      [0, revision],
      [0, revision],
    ]);
  });

  it("get what other labels select on the same stream, once they join with a token that has them", async () => {
    const { rig, keys, node } = await twoZones();
    const before = rig.store.image.publication;
    await rig.join(await rig.token({ nodeId: a, labels: { zone: "us" } }), a, keys.key);
    rig.clock.advance(1_000);
    const { begin, entities } = await node.ackNextSnapshot();
    expect(entities.map(({ id }) => id)).toEqual(["all", "us"]);
    expect(Number(begin.publication)).toBeGreaterThan(before);
    await until(rig.hub, (fleet) => fleet.nodes().every(({ lag, lastNack }) => lag === 0 && lastNack === null));
  });

  it("get nothing that has a selector where nobody vouches for them", async () => {
    const rig = await startSecuredHub();
    await rig.store.transact([upstream("all"), upstream("eu", "zone"), upstream("none", "!zone")], "test");
    const node = rig.connect(await rig.joinNew(a));
    node.send({ case: "hello", value: { nodeId: a, hostname: "h", build: "b", labels: { zone: "eu" } } });
    expect((await node.ackNextSnapshot()).entities.map(({ id }) => id)).toEqual(["all", "none"]);
  });
});
