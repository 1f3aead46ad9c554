import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { admin, adminOk } from "../support/admin-client.ts";
import {
  type ControlPlaneProcess,
  runPenstock,
  startControlPlane,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { ScriptedNode } from "../support/scripted-node.ts";

// The nodes are scripted: what real ones see is for the tests of the data plane.

const targets = ["127.0.0.1:9001", "127.0.0.1:9002"];

interface Rig {
  readonly controlPlane: ControlPlaneProcess;
  readonly upstreamId: string;
  readonly targetIds: readonly string[];
}

async function startWithUpstream(stateDir = temporaryFolder()): Promise<Rig> {
  const controlPlane = await startControlPlane({ stateDir });
  const { body: upstream } = await adminOk(controlPlane.adminUrl, "POST", "/upstreams", { name: "u" });
  const targetIds: string[] = [];
  for (const target of targets)
    targetIds.push((await adminOk(controlPlane.adminUrl, "POST", "/upstreams/u/targets", { target })).body.id);
  return { controlPlane, upstreamId: upstream.id, targetIds };
}

/** A node that serves what there is. */
async function connect({ controlPlane }: Pick<Rig, "controlPlane">, nodeId: string): Promise<ScriptedNode> {
  const node = new ScriptedNode(controlPlane.syncAddress);
  onTestFinished(() => node.close());
  node.hello(nodeId, undefined, ["query.drained"]);
  await node.ackNextSnapshot();
  return node;
}

/** What a node says of both targets; `isHealthy` by their order. */
function observe(node: ScriptedNode, { upstreamId, targetIds }: Rig, isHealthy: readonly boolean[]): void {
  node.observe(
    targetIds.map((targetId, i) => ({
      upstreamId,
      targetId,
      address: targets[i]!,
      healthy: isHealthy[i]!,
      isChecked: true,
      weight: 100,
      ...(isHealthy[i] ? {} : { source: "active", reason: "connection refused", sinceUnixMs: 1_717_000_000_000n }),
    })),
    true,
  );
}

/** Asks until the answer is what is waited for: reports arrive on their own. */
async function healthOnceReported(url: string, isSo: (states: readonly string[]) => boolean) {
  for (;;) {
    const { body } = await adminOk(url, "GET", "/upstreams/u/health");
    if (isSo(body.data.map((row: { health: string }) => row.health))) return body;
  }
}

async function runHealth(...args: string[]): Promise<{ code: number | string; lines: readonly string[] }> {
  const command = runPenstock(["health", ...args]);
  return { code: await command.ended, lines: command.lines };
}

describe("the health of a fleet", () => {
  it("is merged over its nodes and shown by REST and penstock health (row 41)", async () => {
    const rig = await startWithUpstream();
    const url = rig.controlPlane.adminUrl;
    const nodes = await Promise.all(["a", "b", "c"].map((id) => connect(rig, id)));
    for (const node of nodes.slice(1)) observe(node, rig, [true, true]);
    observe(nodes[0]!, rig, [false, true]);
    const healthyOn = (body: { data: { data: { addresses: { healthy_on: string }[] } }[] }) =>
      body.data.map((row) => row.data.addresses[0]?.healthy_on);
    for (;;) {
      const { body } = await adminOk(url, "GET", "/upstreams/u/health");
      if (healthyOn(body).join() !== "3 of 3,2 of 3") continue;
      expect(body.data.map((row: { health: string }) => row.health)).toEqual(["HEALTHY", "HEALTHY"]);
      break;
    }
    expect((await runHealth("--admin", url)).code).toBe(0);
    for (const node of nodes) observe(node, rig, [false, true]);
    await healthOnceReported(url, (states) => states.join() === "HEALTHY,UNHEALTHY");
    const table = await runHealth("u", "--admin", url);
    expect(table.code).toBe(1);
    expect(table.lines[2]).toMatch(
      /^u +127\.0\.0\.1:9001 +127\.0\.0\.1:9001 +unhealthy +0 of 3 +active +connection refused +2024-05-29T16:26:40\.000Z$/,
    );
    const json = await runHealth("u", "--json", "--admin", url);
    const [told] = JSON.parse(json.lines.join("\n"));
    expect([json.code, told.upstreamName, told.nodeCount]).toEqual([1, "u", 3]);
    expect(told.targets[1].endpoints[0].views).toHaveLength(3);
  });

  it("is watched by penstock health --watch", async () => {
    const rig = await startWithUpstream();
    const node = await connect(rig, "a");
    const watching = runPenstock(["health", "u", "--watch", "--json", "--admin", rig.controlPlane.adminUrl]);
    await watching.jsonLine((line) => line["state"] === "HEALTH_STATE_UNSPECIFIED");
    observe(node, rig, [false, false]);
    await watching.jsonLine((line) => line["state"] === "HEALTH_STATE_UNHEALTHY");
    await adminOk(rig.controlPlane.adminUrl, "DELETE", "/upstreams/u");
    await watching.jsonLine((line) => line["deleted"] === true);
    expect(await watching.stop("SIGINT")).toBe(0);
  });

  it("cannot be shown of what is not there", async () => {
    const { adminUrl } = await startControlPlane();
    const unknown = await runHealth("none", "--admin", adminUrl);
    expect([unknown.code, unknown.lines]).toEqual([2, ['penstock health: there is no upstream "none"']]);
    const empty = await runHealth("--admin", adminUrl);
    expect([empty.code, empty.lines]).toEqual([0, ["There are no upstreams."]]);
    const nobody = await runHealth("--admin", "http://127.0.0.1:1");
    expect([nobody.code, nobody.lines[0]]).toEqual([
      2,
      expect.stringMatching(/^penstock health: http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/),
    ]);
    const misspelt = await runHealth("--wach");
    expect([misspelt.code, misspelt.lines]).toEqual([2, ['penstock health: unknown option "--wach"; see --help']]);
  });
});

describe("a decision of a target's health", () => {
  it("reaches every node, outlives a restart of the control plane, and goes when it expires", async () => {
    const stateDir = temporaryFolder();
    const rig = await startWithUpstream(stateDir);
    const nodes = [await connect(rig, "a"), await connect(rig, "b")];
    const decided = admin(
      rig.controlPlane.adminUrl,
      "PUT",
      `/upstreams/u/targets/${targets[0]}/unhealthy?expires_in=2s&wait=applied`,
    );
    const overrides = await Promise.all(
      nodes.map(async (node) => {
        const { entities } = await node.ackNextSnapshot();
        return entities
          .filter(({ kind }) => kind === "health_override")
          .map(({ body }) => fromBinary(HealthOverrideSchema, body));
      }),
    );
    for (const [override, ...others] of overrides) {
      expect(others).toEqual([]);
      expect(override).toMatchObject({ target: { id: rig.targetIds[0] }, address: "", healthy: false });
    }
    const answer = await decided;
    expect([answer.status, answer.headers.get("penstock-applied")]).toEqual([204, "2/2"]);
    await rig.controlPlane.stop("SIGKILL");
    const restarted = await startControlPlane({ stateDir });
    const node = new ScriptedNode(restarted.syncAddress);
    onTestFinished(() => node.close());
    node.hello("a");
    // It is there or, on a slow machine, has expired already; in the end it is gone.
    for (;;) {
      const { entities } = await node.ackNextSnapshot();
      if (entities.every(({ kind }) => kind !== "health_override")) break;
    }
  });
});

describe("a target that is removed with ?drain", () => {
  const path = `/upstreams/u/targets/${targets[0]}`;

  it("is done when every node says so", async () => {
    const rig = await startWithUpstream();
    const nodes = [await connect(rig, "a"), await connect(rig, "b")];
    const removed = admin(rig.controlPlane.adminUrl, "DELETE", `${path}?drain=20s&wait=true`);
    const asked = await Promise.all(
      nodes.map(async (node) => {
        await node.ackNextSnapshot();
        return (await node.next("query")).value;
      }),
    );
    expect(JSON.parse(Buffer.from(asked[0]!.body).toString())).toMatchObject({
      upstreamId: rig.upstreamId,
      target: targets[0],
    });
    for (const [i, { id }] of asked.entries())
      nodes[i]!.send({ case: "queryResult", value: { id, body: Buffer.from('{"inFlight":0}') } });
    const answer = await removed;
    expect([answer.status, answer.headers.get("penstock-drained"), answer.headers.get("penstock-applied")]).toEqual([
      204,
      "2/2",
      "2/2",
    ]);
  });

  it("says what is left when the time is over", async () => {
    const rig = await startWithUpstream();
    const node = await connect(rig, "a");
    const drained = admin(rig.controlPlane.adminUrl, "PATCH", `${path}?drain=20s&wait=true`, { weight: 0 });
    await node.ackNextSnapshot();
    const { id } = (await node.next("query")).value;
    node.send({ case: "queryResult", value: { id, body: Buffer.from('{"inFlight":2}') } });
    const answer = await drained;
    expect([answer.status, answer.headers.get("penstock-drained")]).toEqual([504, "0/1"]);
    expect(answer.body.nodes).toEqual([{ node_id: "a", hostname: "host-of-a", in_flight: 2, problem: null }]);
  });
});

describe("the control plane's own ports", () => {
  it("are no targets and no hosts of services", async () => {
    const controlPlane = await startControlPlane();
    const url = controlPlane.adminUrl;
    await adminOk(url, "POST", "/upstreams", { name: "u" });
    for (const address of [new URL(url).host, controlPlane.syncAddress]) {
      const refused = await admin(url, "POST", "/upstreams/u/targets", { target: address });
      expect([refused.status, refused.body.fields]).toEqual([
        400,
        { target: "points at the control plane's own port" },
      ]);
      const service = await admin(url, "POST", "/services", { url: `http://${address}` });
      expect([service.status, service.body.fields]).toEqual([400, { host: "points at the control plane's own port" }]);
    }
  });
});
