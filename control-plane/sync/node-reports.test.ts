import { describe, expect, it } from "vitest";
import type { ScriptedNode } from "../../test/support/scripted-node.ts";
import { startHub, until } from "../../test/support/sync-hub-rig.ts";

const endpoint = { upstreamId: "u", targetId: "t", address: "127.0.0.1:80" };
const seen = { ...endpoint, healthy: true };
const capabilities = ["query.drained"];
const question = { kind: "drained", body: Buffer.from("{}"), timeoutMs: 1_000 };

type Hub = Awaited<ReturnType<typeof startHub>>;

/** "node address" of what is seen of an upstream. */
const viewsOf = ({ hub }: Hub) =>
  [...hub.views.ofPool("u").views()].map(({ nodeId, view }) => `${nodeId} ${view.address}`).sort();

async function connectNode({ connect, hub }: Hub, nodeId: string, able: readonly string[] = capabilities) {
  const node = connect();
  node.hello(nodeId, undefined, able);
  await until(hub, (fleet) => fleet.nodes().some(({ id, isConnected }) => id === nodeId && isConnected));
  return node;
}

describe("what nodes say on their streams", () => {
  it("is kept for as long as the stream is open, and a while longer", async () => {
    const rig = await startHub();
    const node = await connectNode(rig, "n");
    node.observe([seen], true);
    await until(rig.hub, () => viewsOf(rig).length === 1);
    node.close();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    expect(viewsOf(rig)).toEqual(["n 127.0.0.1:80"]);
    rig.clock.advance(30_000);
    expect(viewsOf(rig)).toEqual([]);
  });

  it("goes with the stream where it is traffic, and is told anew on the next", async () => {
    const rig = await startHub();
    const trafficOf = () =>
      rig.hub.traffic
        .ofUpstream("u")
        .flatMap(({ nodeId, hostname, endpoints }) =>
          endpoints.map((one) => `${nodeId} ${hostname} ${one.counts.requests}`),
        );
    const tell = (node: ScriptedNode, requestCount: bigint) =>
      node.send({ case: "traffic", value: { endpoints: [{ ...endpoint, requestCount }], isStartOfAll: true } });
    const node = await connectNode(rig, "n");
    tell(node, 3n);
    await until(rig.hub, () => trafficOf().length === 1);
    expect(trafficOf()).toEqual(["n host-of-n 3"]);
    const newer = rig.connect();
    newer.hello("n");
    await node.ended;
    await until(rig.hub, () => trafficOf().length === 0);
    tell(newer, 4n);
    await until(rig.hub, () => trafficOf().length === 1);
    expect(trafficOf()).toEqual(["n host-of-n 4"]);
    newer.close();
    await until(rig.hub, () => trafficOf().length === 0);
  });

  it("outlives a stream that a newer one of the same node replaces", async () => {
    const rig = await startHub();
    const older = await connectNode(rig, "n");
    older.observe([seen]);
    await until(rig.hub, () => viewsOf(rig).length === 1);
    const newer = rig.connect();
    newer.hello("n");
    await older.ended;
    rig.clock.advance(30_001);
    expect(viewsOf(rig)).toEqual(["n 127.0.0.1:80"]);
  });
});

describe("Fleet.ask", () => {
  it("asks the nodes that can answer and serve the revision, and tells of the others", async () => {
    const rig = await startHub();
    const revision = rig.store.putUpstream("u");
    const able = rig.connect();
    able.hello("a-able", undefined, capabilities);
    await able.ackNextSnapshot();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.revision === revision);
    const old = await connectNode(rig, "b-old", []);
    await connectNode(rig, "c-behind");
    const asked = rig.fleet.ask({ ...question, revision });
    const { value: query } = await able.next("query");
    expect([query.kind, Buffer.from(query.body).toString()]).toEqual(["drained", "{}"]);
    able.send({ case: "queryResult", value: { id: query.id, body: Buffer.from('{"inFlight":0}') } });
    const answers = (await asked).map(({ nodeId, hostname, answered }) => [
      nodeId,
      hostname,
      answered.ok ? Buffer.from(answered.body).toString() : answered.problem,
    ]);
    expect(answers.sort()).toEqual([
      ["a-able", "host-of-a-able", '{"inFlight":0}'],
      ["b-old", "host-of-b-old", 'its version does not answer "drained"'],
      ["c-behind", "host-of-c-behind", "it does not serve the change yet"],
    ]);
    expect(old.unreadCount("query")).toBe(0);
  });

  it("asks one node alone where it is named", async () => {
    const rig = await startHub();
    const [a, b] = [await connectNode(rig, "a"), await connectNode(rig, "b")];
    const [answer, ...others] = await rig.fleet.ask({ ...question, kind: "unknown", revision: 1, nodeId: "b" });
    expect([answer?.nodeId, others]).toEqual(["b", []]);
    expect(await rig.fleet.ask({ ...question, revision: 1, nodeId: "c" })).toEqual([]);
    expect([a.unreadCount("query"), b.unreadCount("query")]).toEqual([0, 0]);
  });

  it("does not wait where the caller does not any more", async () => {
    const rig = await startHub();
    const revision = rig.store.putUpstream("u");
    const node = rig.connect();
    node.hello("n", undefined, capabilities);
    await node.ackNextSnapshot();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.revision === revision);
    const caller = new AbortController();
    const asked = rig.fleet.ask({ ...question, revision, signal: caller.signal });
    await node.next("query");
    caller.abort();
    expect(await asked).toMatchObject([{ nodeId: "n", answered: { ok: false } }]);
  });

  it("does not wait for a node whose stream ends", async () => {
    const rig = await startHub();
    const revision = rig.store.putUpstream("u");
    const node = rig.connect();
    node.hello("n", undefined, capabilities);
    await node.ackNextSnapshot();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.revision === revision);
    const asked = rig.fleet.ask({ ...question, revision });
    await node.next("query");
    node.close();
    expect(await asked).toMatchObject([{ nodeId: "n", answered: { ok: false, problem: "its stream has ended" } }]);
  });

  it("asks the node again where its process has put another stream in the place of the one that it was asked on", async () => {
    const rig = await startHub();
    const revision = rig.store.putUpstream("u");
    const first = rig.connect();
    first.hello("n", undefined, capabilities, "a");
    const { begin } = await first.ackNextSnapshot();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.revision === revision);
    const asked = rig.fleet.ask({ ...question, revision });
    await first.next("query");
    rig.clock.advance(399.9);
    const second = rig.connect();
    second.hello("n", begin, capabilities, "a");
    await second.next("query");
    rig.clock.advance(600.1);
    expect(await asked).toMatchObject([{ answered: { ok: false, problem: "no answer within 600 ms" } }]);
    const again = rig.fleet.ask({ ...question, revision });
    await second.next("query");
    const third = rig.connect();
    third.hello("n", begin, capabilities, "b");
    expect(await again).toMatchObject([{ answered: { ok: false, problem: "its stream has ended" } }]);
    expect(third.unreadCount("query")).toBe(0);
  });
});
