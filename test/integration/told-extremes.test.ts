import type { MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "../../control-plane/start-control-plane.ts";
import { openLog } from "../../control-plane/telemetry/log.ts";
import type { ConnectRequestSchema, EndpointTrafficSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { adminOk, dataPlaneRows } from "../support/admin-client.ts";
import { askEveryFace, type Shown } from "../support/admin-faces.ts";
import { runPenstock, temporaryFolder } from "../support/penstock-processes.ts";
import { ScriptedNode, type SnapshotOnWire } from "../support/scripted-node.ts";

// A node may be anyone who was let in. Whatever it says, everybody can go on reading what there is of nodes.

type Said = MessageInitShape<typeof ConnectRequestSchema>["message"];

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);
const int32Max = 2 ** 31 - 1;
const int32Min = -(2 ** 31);
const safeMax = Number.MAX_SAFE_INTEGER;

/** Cut at any even length, it ends with half of a character. */
const halves = `x${"😀".repeat(1_000)}`;

let adminUrl: string;
let plane: ControlPlane;
let node: ScriptedNode;
let pushed: SnapshotOnWire["begin"];
/** Ids of what is configured. */
let ids: { readonly upstreamId: string; readonly targetId: string };

beforeEach(async () => {
  const folder = temporaryFolder();
  const free = { host: "127.0.0.1", port: 0 };
  plane = await startControlPlane(
    {
      ...{ adminListen: free, syncListen: free, adminHosts: [], logLevel: "fatal", areSecretsInLists: false },
      ...{ storePath: `${folder}/store.db`, secretKeyPath: `${folder}/secret.key`, ticketKeyRotationMs: 3_600_000 },
      ...{ syncIdentity: { type: "off" }, nodeStaleAfterMs: 30_000, nodeForgetAfterMs: 60_000 },
    },
    openLog("fatal"),
  );
  adminUrl = `http://${plane.adminAddresses[0]}`;
  const upstream = (await adminOk(adminUrl, "POST", "/upstreams?wait=none", { name: "u" })).body;
  const target = await adminOk(adminUrl, "POST", "/upstreams/u/targets?wait=none", { target: "10.0.0.1:80" });
  ids = { upstreamId: upstream.id, targetId: target.body.id };
  node = new ScriptedNode(plane.syncAddresses[0]!);
});
afterEach(async () => {
  node.close();
  await plane.close();
});

/** Says who it is and takes what it is sent, but for the ack. @param explained what it answers when it is asked that */
async function arrive(explained: object = { publication: "1" }): Promise<void> {
  const [hostname, build] = [halves.slice(1, 257), "b".repeat(256)];
  const labels = { [halves.slice(1, 257)]: hostname };
  const capabilities = ["query.explain", hostname];
  node.send({ case: "hello", value: { nodeId: "n", hostname, build, labels, capabilities, workerCount: int32Min } });
  pushed = (await node.nextSnapshot()).begin;
  // Until the node is closed.
  answerQueries(explained).catch(() => {});
}

async function answerQueries(explained: object): Promise<never> {
  for (;;) {
    const { id } = (await node.next("query")).value;
    node.send({ case: "queryResult", value: { id, body: Buffer.from(JSON.stringify(explained)) } });
  }
}

const ack = (seconds: bigint, nanos: number): Said => ({
  case: "ack",
  value: { publication: pushed.publication, stateHash: pushed.stateHash, applyDuration: { seconds, nanos } },
});

function nack(publication: bigint, keptPublication: bigint): Said {
  const texts = { entityId: halves, entityName: halves, field: halves, message: halves, reason: "invalid_entity" };
  return { case: "nack", value: { publication, keptPublication, entityKind: "upstream", ...texts } };
}

function heartbeat(publication: bigint, counter: bigint): Said {
  const epoch = { counter, id: new Uint8Array(100_000) };
  return { case: "heartbeat", value: { publication, stateHash: pushed.stateHash, epoch } };
}

function observations(count: bigint, sinceUnixMs: bigint): Said {
  const counts = { transitionCount: count, probeSuccesses: count, probeFailures: count, sinceUnixMs };
  const texts = { source: halves, reason: halves, dns: halves };
  const seen = ["10.0.0.1:80", ""].map((address) => ({ ...ids, address, ...counts, ...texts, weight: int32Max }));
  return { case: "observations", value: { observations: seen } };
}

/** Of more endpoints than such counts add up to an int64 of. @param look of an even one, nothing was sent yet */
function traffic(look: bigint): Said {
  const count = look % 2n === 0n ? 0n : int64Max;
  const told: MessageInitShape<typeof EndpointTrafficSchema> = {
    ...{ requestCount: count, answerCount: count, clientErrorCount: count, serverErrorCount: count, lossCount: count },
    ...{ ejectionCount: count, inFlight: int32Max, latencyBuckets: [0, 79], latencyCounts: [0, 0] },
  };
  const endpoints = Array.from({ length: 2_100 }, (_, i) => ({
    ...told,
    ...ids,
    address: `10.0.${i >> 8}.${i & 255}:80`,
  }));
  return { case: "traffic", value: { endpoints, look, interval: { seconds: 0n, nanos: 1_000 } } };
}

/** The last that is said: the control plane has taken all once this is seen. */
function stats(interval?: { seconds: bigint; nanos: number }): Said {
  const counts = { requestCount: int64Max, failureCount: int64Max, connectionCount: int64Min };
  const worker = { number: int32Min, role: halves, publication: int64Max, requestCount: int64Max, heapBytes: int64Min };
  const told = { ...counts, lostWorkerCount: int64Max, workers: [worker], endpointCount: int32Max };
  return { case: "stats", value: { ...told, ...(interval === undefined ? {} : { interval }) } };
}

async function say(...messages: readonly Said[]): Promise<void> {
  for (const message of [...messages, stats(), stats({ seconds: 0n, nanos: 1_000 })]) node.send(message);
  const endpointCount = async () => (await dataPlaneRows({ adminUrl }))[0]?.figures?.endpoints;
  await expect.poll(endpointCount, { timeout: 30_000 }).toBe(int32Max);
}

/** Every face has answered, with numbers that are some and texts that are whole. */
function expectWhole(shown: Shown): void {
  const failures = Object.entries(shown).flatMap(([face, told]) => (told instanceof Error ? `${face}: ${told}` : []));
  // That there is nobody to ask is an answer.
  expect(failures.filter((failure) => !failure.includes("no connected node serves a configuration yet"))).toEqual([]);
  for (const [face, answer] of Object.entries(shown)) {
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    // Half of a character, no number, or one that went through a double on its way to an int64.
    expect(text.match(/\\ud[89a-f]|NaN|(?<!-)9223372036854775808|9223372036854776000/i)?.[0], face).toBeUndefined();
  }
}

describe("what a node says", () => {
  const rowOf = async () => (await dataPlaneRows({ adminUrl }))[0];

  it.each([
    { name: "a fraction of a millisecond", seconds: 0n, nanos: 16_098_000, shownMs: 16.098 },
    { name: "a fraction of a microsecond", seconds: 1n, nanos: 1_499, shownMs: 1_000.001 },
    { name: "more than a day", seconds: 86_400n, nanos: 1_000_000, shownMs: 86_400_000 },
    { name: "more than protobuf's JSON has", seconds: 315_576_000_001n, nanos: 0, shownMs: 86_400_000 },
    { name: "more than all", seconds: int64Max, nanos: int32Max, shownMs: 86_400_000 },
    { name: "less than nothing", seconds: int64Min, nanos: int32Min, shownMs: 0 },
    { name: "a little less than nothing", seconds: 0n, nanos: -1, shownMs: 0 },
  ])("is shown by every face where its time to apply is $name", async ({ seconds, nanos, shownMs }) => {
    await arrive();
    await say(ack(seconds, nanos));
    expectWhole(await askEveryFace(adminUrl));
    expect(await rowOf()).toMatchObject({ apply_duration_ms: shownMs, workers: 0, publication: expect.any(Number) });
  });

  it.each<{ name: string; said: () => Said; shown: object }>([
    {
      name: "that it refuses the last of all numbers and keeps it",
      said: () => nack(int64Max, int64Max),
      shown: { last_nack: { publication: safeMax, kept_publication: safeMax } },
    },
    {
      name: "that it refuses less than nothing",
      said: () => nack(int64Min, int64Min),
      shown: { last_nack: { publication: 0, kept_publication: 0 } },
    },
    {
      name: "that it went back to the last of all numbers",
      said: () => nack(pushed.publication, int64Max),
      shown: { publication: safeMax, last_nack: { kept_publication: safeMax } },
    },
    {
      name: "that it serves the last of all numbers, of the last epoch",
      said: () => heartbeat(int64Max, int64Max),
      shown: { publication: safeMax, lag: 0, epoch: { counter: safeMax, id: "00".repeat(16) } },
    },
    {
      name: "that it serves less than nothing, of less than any epoch",
      said: () => heartbeat(int64Min, int64Min),
      shown: { publication: 0, epoch: { counter: 0 } },
    },
    { name: "of endpoints in years to come", said: () => observations(int64Max, int64Max), shown: {} },
    { name: "of endpoints in the year 10000", said: () => observations(int64Max, 253_402_300_800_000n), shown: {} },
    { name: "of endpoints before all time", said: () => observations(int64Min, int64Min), shown: {} },
  ])("is shown by every face where it says $name", async ({ said, shown }) => {
    await arrive();
    await say(ack(0n, 0), said());
    expectWhole(await askEveryFace(adminUrl));
    expect(await rowOf()).toMatchObject(shown);
  });

  it("is shown by every face where its traffic is more than can be counted", async () => {
    await arrive();
    await say(ack(0n, 0), ...[0n, 1n, 2n, 3n].map(traffic));
    const shown = await askEveryFace(adminUrl);
    expectWhole(shown);
    expect(JSON.parse(shown["GET /upstreams/u/traffic?by_node=true"] as string).figures).toMatchObject({
      request_count: safeMax,
      ejections_last_minute: safeMax,
      error_ratio: 1,
      latency_p99_ms: null,
    });
  });

  it("is shown by every face where it explains nonsense", async () => {
    await arrive({ publication: String(int64Max), revision: String(int64Min), outcome: { kind: 999 } });
    await say(ack(0n, 0));
    const shown = await askEveryFace(adminUrl);
    expectWhole(shown);
    const explained = JSON.parse(shown["GET /explain"] as string);
    expect(explained).toMatchObject({ publication: safeMax, revision: 0, outcome: { kind: "999" } });
  });

  it("is shown by the command, whatever it is", async () => {
    await arrive();
    const all = [
      nack(int64Max, int64Max),
      observations(int64Max, int64Max),
      traffic(1n),
      heartbeat(int64Max, int64Max),
    ];
    await say(ack(0n, 16_098_000), ...all);
    for (const args of ["nodes", "nodes --json", "nodes n", "health --json", "health", "top --once --nodes"]) {
      const command = runPenstock([...args.split(" "), "--admin", adminUrl]);
      // 1 where a node needs care or an endpoint is out; 2 where it could not be asked.
      expect([0, 1], args).toContain(await command.ended);
      expect(command.lines.join("\n"), args).toMatch(/\bn\b|10\.0\.0\.1:80/);
    }
  });
});
