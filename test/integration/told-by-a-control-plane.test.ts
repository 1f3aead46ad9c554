import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, it, onTestFinished } from "vitest";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { startDataPlane, startEchoTargetProcess, temporaryFolder } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { entity, type ScriptedSyncServer, startScriptedSyncServer } from "../support/scripted-sync-server.ts";

// A control plane may be of another version, broken, or somebody else's: a node serves on, whatever it says.

type Said = MessageInitShape<typeof ConnectResponseSchema>["message"];

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);
const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

const state = (port: number) => [
  entity("service", {
    ...{ id: id(1), protocol: Protocol.HTTP, host: "127.0.0.1", port, retries: 5, enabled: true },
    ...{ connectTimeout: { seconds: 60n }, writeTimeout: { seconds: 60n }, readTimeout: { seconds: 60n } },
  }),
  entity("route", {
    ...{ id: id(2), protocols: [Protocol.HTTP], paths: ["/good"], stripPath: true, service: { id: id(1) } },
  }),
];

const extremes = [int64Max, int64Min].flatMap((n): Said[] => {
  const epoch = { counter: n, id: Buffer.alloc(100_000) };
  const sizes = { entityCount: n, byteCount: n };
  return [
    { case: "heartbeat", value: { publication: n, stateHash: Buffer.alloc(99), epoch } },
    { case: "heartbeat", value: { publication: n } },
    { case: "upToDate", value: { publication: n, stateHash: new Uint8Array() } },
    { case: "snapshotBegin", value: { publication: n, revision: n, stateHash: Buffer.alloc(32), epoch, ...sizes } },
    { case: "snapshotBegin", value: {} },
    { case: "snapshotChunk", value: { publication: n, entities: [{ id: "i".repeat(100_000) }] } },
    { case: "snapshotEnd", value: { publication: n } },
    { case: "delta", value: { publication: n, basePublication: n, revision: n, epoch } },
    { case: "delta", value: {} },
    { case: "cancelQuery", value: { id: n } },
    { case: "drain", value: { timeout: { seconds: n, nanos: -(2 ** 31) } } },
    { case: "drain", value: {} },
    { case: undefined },
  ];
});

const bodies = [
  "",
  "null",
  "[",
  '{"upstreamId":"","target":":0","timeoutMs":-1}',
  `{"upstreamId":"${id(1)}","target":"h:99999","timeoutMs":1e308}`,
  `{"scheme":"http","method":"\\r\\n","host":"","path":"*","clientAddress":"::1","headers":[{"name":""}]}`,
  "[],".repeat(400_000),
];

/** What is said is taken in order, and a query answered after all before it. */
async function takenIn(controlPlane: ScriptedSyncServer): Promise<void> {
  controlPlane.send({ case: "query", value: { id: int64Min, kind: "alive" } });
  while ((await controlPlane.nextMessage("queryResult")).id !== int64Min);
}

it("serves on and answers its status port whatever a control plane says, and takes the next snapshot and a restart", async () => {
  const controlPlane = await startScriptedSyncServer();
  onTestFinished(() => controlPlane.close());
  const stateDir = temporaryFolder();
  const dataPlane = await startDataPlane(controlPlane.address, { stateDir });
  const target = await startEchoTargetProcess("t1");
  await controlPlane.nextMessage("hello");
  controlPlane.sendSnapshot(state(target.port), { publication: 1 });
  await controlPlane.nextMessage("ack");
  const isWell = async (said: unknown) => {
    await takenIn(controlPlane);
    expect((await getFresh(dataPlane.proxyPort, "/good/x")).status, String(said)).toBe(200);
    for (const path of ["status", "metrics", "endpoints", "status/ready"]) {
      expect((await fetch(`${dataPlane.statusUrl}/${path}`)).status, `${path} after ${said}`).toBe(200);
    }
  };
  for (const message of extremes) {
    controlPlane.send(message);
    await isWell(message?.case);
  }
  for (const body of bodies) {
    for (const kind of ["explain", "drained"]) {
      // Thousands at once, many of them by one id.
      for (let i = 0n; i < 1_000n; i++) {
        const query = { id: i % 300n, kind, body: Buffer.from(body) };
        if (body.length < 1_000 || i === 0n) controlPlane.send({ case: "query", value: query });
      }
    }
    await isWell(body.slice(0, 40));
  }
  controlPlane.sendSnapshot(state(target.port), { publication: 2, revision: 7 });
  while ((await controlPlane.nextMessage("ack")).publication !== 2n);
  expect(controlPlane.streams).toHaveLength(1);
  await dataPlane.stop();
  const again = await startDataPlane(controlPlane.address, { stateDir });
  const hello = await controlPlane.nextMessage("hello");
  expect(hello.have).toMatchObject({ publication: 2n, epoch: { counter: 1n } });
  expect((await getFresh(again.proxyPort, "/good/x")).status).toBe(200);
});
