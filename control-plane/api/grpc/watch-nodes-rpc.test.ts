import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { nodeStatus } from "../../../test/support/node-status.ts";
import type { NodeStatus } from "../../sync/fleet.ts";
import { type SeenNode, watchNodes } from "./watch-nodes-rpc.ts";

function startWatch(nodes: NodeStatus[], id: string | null = null) {
  const fleet = { statuses: nodes, nodes: () => fleet.statuses };
  const clock = new ManualClock();
  const stopping = new AbortController();
  const seen: string[] = [];
  const textOf = (one: SeenNode) =>
    one === "start-over" ? one : "node" in one ? `${one.node.id} ${one.node.state}` : `forgotten ${one.forgottenId}`;
  const ended = (async () => {
    for await (const one of watchNodes(fleet, id, stopping.signal, clock)) seen.push(textOf(one));
  })().catch((reason: Error) => reason.message);
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  /** What is told within a second. */
  const look = async () => {
    await settled();
    seen.length = 0;
    clock.advance(1_000);
    await settled();
    return [...seen];
  };
  return { fleet, clock, stopping, seen, ended, settled, look };
}

describe("watchNodes", () => {
  it("tells of all, then of what changes, and of what is gone", async () => {
    const [a, b] = [nodeStatus({ id: "a" }), nodeStatus({ id: "b" })];
    const { fleet, seen, settled, look } = startWatch([a, b]);
    await settled();
    expect(seen).toEqual(["a in_sync", "b in_sync", "start-over"]);
    expect(await look()).toEqual([]);
    fleet.statuses = [a, { ...b, state: "stale" }, nodeStatus({ id: "c" })];
    expect(await look()).toEqual(["b stale", "c in_sync"]);
    fleet.statuses = [a];
    expect(await look()).toEqual(["forgotten b", "forgotten c"]);
  });

  it.each<{ name: string; change: Partial<NodeStatus>; isTold: boolean }>([
    { name: "it was heard of", change: { lastSeenAtUnixMs: 5 }, isTold: false },
    { name: "it is behind for less than a second more", change: { lagMs: 2_900 }, isTold: false },
    { name: "it is behind for longer", change: { lagMs: 3_000 }, isTold: true },
    { name: "it serves something newer", change: { publication: 2 }, isTold: true },
    { name: "it connected anew", change: { connectedAtUnixMs: 5 }, isTold: true },
    {
      name: "it cannot do something",
      change: { unsupported: [{ capability: "x", feature: "", entityCount: 1, entities: [] }] },
      isTold: true,
    },
    { name: "it refused something", change: { nackCount: 1 }, isTold: true },
  ])("says so or not when $name", async ({ change, isTold }) => {
    const node = nodeStatus({ lagMs: 2_000, state: "lagging" });
    const { fleet, look } = startWatch([node]);
    await look();
    fleet.statuses = [{ ...node, ...change }];
    expect(await look()).toHaveLength(isTold ? 1 : 0);
  });

  it("tells of one node alone where one was asked for", async () => {
    const { seen, settled } = startWatch([nodeStatus({ id: "a" }), nodeStatus({ id: "b" })], "b");
    await settled();
    expect(seen).toEqual(["b in_sync", "start-over"]);
  });

  it("ends with the signal, and leaves no timer", async () => {
    const { stopping, ended, settled } = startWatch([]);
    await settled();
    stopping.abort(new Error("stopped"));
    expect(await ended).toBe("stopped");
  });
});
