import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";
import type { NodeQuestion } from "../../sync/fleet.ts";

let rig: RestRig;
let upstreamId: string;

beforeEach(async () => {
  rig = await startRestRig();
  onTestFinished(() => rig.close());
  upstreamId = (await rig.create("/upstreams", { name: "u" })).id;
  await rig.create("/upstreams/u/targets", { target: "a.test:80" });
});

const path = "/upstreams/u/targets/a.test:80";
const drain = "?drain=30s&wait=true";
const answer = (nodeId: string, said: object | string) => ({
  nodeId,
  hostname: `host-of-${nodeId}`,
  answered:
    typeof said === "string"
      ? { ok: false as const, problem: said }
      : { ok: true as const, body: Buffer.from(JSON.stringify(said)) },
});
const targetCount = () => rig.store.image.count("target");

/** A client that waits for no answer. */
function leavingClient(method: string, toPath: string, body?: object) {
  const headers = { "Content-Type": "application/json" };
  const client = httpRequest({ port: rig.port, method, path: toPath, agent: false, headers });
  client.on("error", () => {});
  client.end(body === undefined ? undefined : JSON.stringify(body));
  return client;
}

/** Leaves while the nodes are waited for; resolves, once what follows on that has been done, with what the wait was given. */
async function leaveWhileNodesApply(method: string, toPath: string, body?: object): Promise<AbortSignal | undefined> {
  const waited = new Promise<AbortSignal | undefined>((resolve) => {
    rig.fleet.waitForRevision = (_revision, { signal }) => {
      resolve(signal);
      return new Promise((settle) =>
        signal?.addEventListener("abort", () => settle({ appliedCount: 0, nodeCount: 1 })),
      );
    };
  });
  const client = leavingClient(method, toPath, body);
  const signal = await waited;
  client.destroy();
  if (signal?.aborted === false) await once(signal, "abort");
  await rig.send("GET", "/upstreams/u");
  return signal;
}

describe("a target that is taken out of use with ?drain", () => {
  it("is deleted at once, and the answer comes when every node is done", async () => {
    rig.fleet.applied = { appliedCount: 2, nodeCount: 2 };
    rig.fleet.answers = [answer("a", { inFlight: 0 }), answer("b", { inFlight: 0 })];
    const reply = await rig.send("DELETE", path + drain);
    expect([reply.status, reply.text]).toEqual([204, ""]);
    expect(reply.headers).toMatchObject({ "penstock-applied": "2/2", "penstock-drained": "2/2" });
    const revision = rig.store.image.revision;
    expect(rig.fleet.waits.at(-1)).toEqual({ revision, who: "all", timeoutMs: 30_000 });
    const [question] = rig.fleet.questions;
    expect({ ...question, body: JSON.parse(Buffer.from(question!.body).toString()) }).toEqual({
      kind: "drained",
      revision,
      timeoutMs: 32_000,
      signal: expect.any(AbortSignal),
      body: { upstreamId, target: "a.test:80", timeoutMs: 30_000 },
    });
    expect(targetCount()).toBe(0);
  });

  it("is answered with 504 and what is left where it took too long, and is deleted all the same", async () => {
    rig.fleet.answers = [
      answer("a", { inFlight: 0 }),
      answer("b", { inFlight: 3 }),
      answer("c", 'its version does not answer "drained"'),
      answer("d", { inFlight: "many" }),
    ];
    const reply = await rig.send("DELETE", path + drain);
    expect([reply.status, reply.headers["penstock-drained"]]).toEqual([504, "1/4"]);
    expect(reply.json).toEqual({
      message: "the target gets no new requests, but after 30s not every node says that all old ones have ended",
      nodes: [
        { node_id: "b", hostname: "host-of-b", in_flight: 3, problem: null },
        { node_id: "c", hostname: "host-of-c", in_flight: null, problem: 'its version does not answer "drained"' },
        { node_id: "d", hostname: "host-of-d", in_flight: null, problem: "its answer is none" },
      ],
    });
    expect(targetCount()).toBe(0);
  });

  it.each([
    ["PATCH", { weight: 0 }],
    ["PUT", { weight: 0 }],
    ["PATCH", "weight=0"],
  ])("keeps its place with weight 0 (%s %j)", async (method, body) => {
    rig.fleet.answers = [answer("a", { inFlight: 0 })];
    const reply = await rig.send(method, path + drain, body);
    expect([reply.status, reply.json.weight, reply.headers["penstock-drained"]]).toEqual([200, 0, "1/1"]);
  });

  it("is done at once where there are no nodes", async () => {
    const reply = await rig.send("DELETE", path + drain);
    expect([reply.status, reply.headers["penstock-drained"]]).toEqual([204, "0/0"]);
  });

  it.each([
    ["DELETE", undefined],
    ["PATCH", { weight: 0 }],
  ])("waits for no node any more when the client of a %s leaves, and stands", async (method, body) => {
    const before = rig.store.image.revision;
    const asked = new Promise<NodeQuestion>((resolve) => {
      rig.fleet.ask = (question) => {
        resolve(question);
        return new Promise((settle) => question.signal?.addEventListener("abort", () => settle([])));
      };
    });
    const client = leavingClient(method, path + drain, body);
    const { signal } = await asked;
    client.destroy();
    expect(signal).toBeInstanceOf(AbortSignal);
    if (signal?.aborted === false) await once(signal, "abort");
    // Whatever follows on it has been done once another request was answered.
    await rig.send("GET", "/upstreams/u");
    expect([rig.store.image.revision, rig.errors]).toEqual([before + 1, []]);
  });

  it("asks no node when its client leaves before every node has the change", async () => {
    const signal = await leaveWhileNodesApply("DELETE", path + drain);
    expect([signal?.aborted, rig.fleet.questions, rig.errors]).toEqual([true, [], []]);
  });

  it.each([
    ["DELETE", "?drain=30s", undefined, "drain needs wait=true: nothing but the wait depends on it"],
    ["DELETE", "?drain=soon&wait=true", undefined, "drain must be a time from 1ms to 60m, such as 500ms, 30s or 2m"],
    ["DELETE", "?drain=2h&wait=true", undefined, "drain must be a time from 1ms to 60m, such as 500ms, 30s or 2m"],
    ["DELETE", "?drain=1s&wait=true&timeout=1s", undefined, "drain is the timeout; leave timeout out"],
    [
      "PATCH",
      drain,
      { weight: 1 },
      "drain needs weight 0 in the body: with any other weight the target gets new requests",
    ],
    ["PATCH", drain, undefined, "drain needs weight 0 in the body: with any other weight the target gets new requests"],
  ])("is refused, and nothing written, with %s %s %j", async (method, query, body, message) => {
    const before = rig.store.image.revision;
    const reply = await rig.send(method, path + query, body);
    expect([reply.status, reply.json, rig.store.image.revision]).toEqual([400, { message }, before]);
  });

  it("is answered as ever where it is not there or the write is refused", async () => {
    expect((await rig.send("DELETE", `/upstreams/u/targets/b.test:80${drain}`)).status).toBe(404);
    expect((await rig.send("PATCH", path + drain, { weight: 0, tags: "x" })).status).toBe(400);
    expect(rig.fleet.questions).toEqual([]);
  });
});

describe("a write whose client leaves while it waits for the nodes", () => {
  it.each([
    ["POST", "/services?wait=applied&timeout=60m", { host: "a.test" }],
    ["DELETE", `${path}?wait=applied&timeout=60m`, undefined],
    ["PATCH", path, { weight: 3 }],
  ])("gives its place among the waiters back, and stands (%s %s)", async (method, toPath, body) => {
    const before = rig.store.image.revision;
    const signal = await leaveWhileNodesApply(method, toPath, body);
    expect([signal?.aborted, rig.store.image.revision, rig.errors]).toEqual([true, before + 1, []]);
  });
});
