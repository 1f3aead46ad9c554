import { describe, expect, it, onTestFinished } from "vitest";
import { nodeCapabilities } from "../../data-plane/capabilities.ts";
import { admin, adminOk, createBalancedRoute, dataPlaneRows } from "../support/admin-client.ts";
import {
  type ControlPlaneProcess,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { ScriptedNode } from "../support/scripted-node.ts";

type Row = Awaited<ReturnType<typeof dataPlaneRows>>[number];

/** Runs `penstock nodes` to its end. */
async function penstockNodes({ adminUrl }: ControlPlaneProcess, ...args: string[]) {
  const command = runPenstock(["nodes", "--admin", adminUrl, ...args]);
  const code = await command.ended;
  return { code, text: command.lines.join("\n") };
}

/** A node that says that it was made before everything that needs a capability. */
function connectOldNode({ syncAddress }: ControlPlaneProcess, id: string): ScriptedNode {
  const node = new ScriptedNode(syncAddress);
  onTestFinished(() => node.close());
  node.hello(
    id,
    undefined,
    nodeCapabilities.filter((capability) => !capability.startsWith("config.")),
  );
  return node;
}

describe("what is seen of real nodes", () => {
  it("is what each serves, worker by worker, and how it does; then that it is away, and nothing once forgotten", async () => {
    const controlPlane = await startControlPlane({ env: { PENSTOCK_NODE_STALE_AFTER: "1s" } });
    const dataPlane = await startDataPlane(controlPlane.syncAddress, {
      workers: 2,
      env: { PENSTOCK_LABELS: "rack=r7" },
    });
    const target = await startEchoTargetProcess("t1");
    const targets = [`127.0.0.1:${target.port}`];
    await createBalancedRoute(controlPlane.adminUrl, { name: "u", path: "/u", targets });
    for (let i = 0; i < 20; i++) expect((await getFresh(dataPlane.proxyPort, "/u/x")).status).toBe(200);
    const newest = (await adminOk(controlPlane.adminUrl, "GET", "/status")).body.revision;

    // As told right after the requests: a while later the rate is that of nothing.
    let row: Row;
    const toldOf = async () => {
      [row] = await dataPlaneRows(controlPlane);
      return row?.figures?.requests;
    };
    await expect.poll(toldOf, { timeout: 30_000, interval: 100 }).toBe(20);
    expect(row).toMatchObject({
      state: "in_sync",
      revision: newest,
      lag_seconds: 0,
      labels: { rack: "r7" },
      nacks: 0,
      unsupported: [],
      figures: { error_ratio: 0, endpoints: 1, healthy_endpoints: 1 },
    });
    expect(row.figures.requests_per_second).toBeGreaterThan(0);
    const serving = row.figures.workers.filter(({ role }: Row) => role === "serving");
    expect(serving.map(({ publication }: Row) => publication)).toEqual([row.publication, row.publication]);
    expect(serving.reduce((sum: number, { requests }: Row) => sum + requests, 0)).toBe(20);

    const table = await penstockNodes(controlPlane);
    expect(table.text).toMatch(new RegExp(`^${row.id} .* in sync +${row.publication} +- .*1 of 1`, "m"));
    expect(table.code).toBe(0);
    expect(JSON.parse((await penstockNodes(controlPlane, "--json")).text)).toMatchObject([
      { id: row.id, state: "NODE_STATE_IN_SYNC", figures: { requestCount: "20" } },
    ]);
    expect((await penstockNodes(controlPlane, row.id)).text).toMatch(/^WORKER +ROLE/m);
    expect(await penstockNodes(controlPlane, "no-such-node")).toEqual({
      code: 2,
      text: expect.stringContaining("there is no node no-such-node"),
    });

    await dataPlane.stop();
    await expect.poll(async () => (await dataPlaneRows(controlPlane))[0].state, { timeout: 20_000 }).toBe("stale");
    expect(await penstockNodes(controlPlane, "--once")).toEqual({ code: 1, text: expect.stringMatching(/ stale /) });
    const metrics = await (await fetch(`${controlPlane.adminUrl}/metrics`)).text();
    expect(metrics).toContain('penstock_nodes{state="stale"} 1\n');
    const forget = runPenstock(["node", "forget", row.id, "--admin", controlPlane.adminUrl]);
    expect(await forget.ended).toBe(0);
    expect(await dataPlaneRows(controlPlane)).toEqual([]);
  });

  it("is told as it changes", async () => {
    const controlPlane = await startControlPlane();
    const watch = runPenstock(["nodes", "--watch", "--json", "--admin", controlPlane.adminUrl]);
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const { id } = await watch.jsonLine(({ state }) => state === "NODE_STATE_IN_SYNC");
    await dataPlane.stop();
    await watch.jsonLine((line) => line["id"] === id && line["state"] === "NODE_STATE_DISCONNECTED");
    expect((await admin(controlPlane.adminUrl, "POST", `/nodes/${id}/forget`)).status).toBe(204);
    await watch.jsonLine((line) => line["id"] === id && line["forgotten"] === true);
    expect(await watch.stop("SIGTERM")).toBe(0);
  });
});

describe("row 14: an old node among others", () => {
  it("is named in the warnings of a write that it takes no notice of, in the log before the push, and by every face", async () => {
    const controlPlane = await startControlPlane();
    const old = connectOldNode(controlPlane, "old-node");
    await old.ackNextSnapshot();
    const { adminUrl } = controlPlane;
    const plain = await adminOk(adminUrl, "POST", "/upstreams?wait=none", { name: "plain" });
    expect(plain.headers.get("penstock-warning")).toBeNull();

    const written = await adminOk(adminUrl, "POST", "/upstreams?wait=none", {
      name: "u",
      balancing: { zones: { prefer_local: true } },
    });
    const warning = written.headers.get("penstock-warning");
    expect(warning).toMatch(
      /balancing: .*not acted on by nodes that are too old for it.*host-of-old-node \(old-node\)/,
    );
    const logged = await controlPlane.jsonLine(({ msg }) => msg === "a change needs what nodes are too old for");
    expect(logged).toMatchObject({
      kind: "upstream",
      field: "balancing",
      capability: "config.balancing",
      nodes: ["old-node"],
    });

    const { id } = written.body;
    const [row] = await dataPlaneRows(controlPlane);
    const entities = [{ kind: "upstream", id, name: "u", field: "balancing" }];
    expect(row.unsupported).toMatchObject([{ capability: "config.balancing", entity_count: 1, entities }]);
    const shown = await penstockNodes(controlPlane, "old-node");
    expect(shown.text).toContain("(config.balancing): upstream u balancing");
    expect(shown.code).toBe(1);
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
    expect(metrics).toContain("penstock_nodes_too_old 1\n");
  });

  it("is told of when it connects, before it has acked anything", async () => {
    const controlPlane = await startControlPlane();
    await adminOk(controlPlane.adminUrl, "POST", "/upstreams", {
      name: "u",
      balancing: { zones: { prefer_local: true } },
    });
    const old = connectOldNode(controlPlane, "old-node");
    await old.next("snapshotBegin");
    const logged = await controlPlane.jsonLine(({ msg }) => msg === "a node is too old for parts of the configuration");
    expect(logged).toMatchObject({
      node: "old-node",
      unsupported: [{ capability: "config.balancing", entityCount: 1 }],
    });
    expect(await dataPlaneRows(controlPlane)).toMatchObject([{ publication: 0, unsupported: [{ entity_count: 1 }] }]);
  });
});
