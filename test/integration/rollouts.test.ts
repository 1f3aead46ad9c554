import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { admin, adminOk, createBalancedRoute } from "../support/admin-client.ts";
import {
  type DataPlaneProcess,
  portsOf,
  runPenstock,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

/** A target that answers every request with the same status. */
async function startTarget(status: number): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(status).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** In the order in which rollouts reach them. */
const nodeIds = [1, 2, 3].map((i) => `aaaaaaaa-0000-4000-8000-00000000000${i}`);

/** Three data planes that serve /shop, and a policy of one and then all. @param nodeEnv what each of them gets beside its id */
async function startFleet(soak: string, stateDir = temporaryFolder(), nodeEnv: Record<string, string> = {}) {
  const controlPlane = await startControlPlane({ stateDir });
  const { adminUrl } = controlPlane;
  const dataPlanes: DataPlaneProcess[] = [];
  for (const id of nodeIds) {
    const env = { ...nodeEnv, PENSTOCK_NODE_ID: id };
    dataPlanes.push(await startDataPlane(controlPlane.syncAddress, { workers: 1, env }));
  }
  const target = await startEchoTargetProcess("good");
  await createBalancedRoute(adminUrl, { name: "shop", path: "/shop", targets: [`127.0.0.1:${target.port}`] });
  await adminOk(adminUrl, "PUT", "/rollout/policy", {
    mode: "staged",
    stages: [{ node_count: 1 }],
    soak,
    request_min_count: 20,
  });
  return { controlPlane, adminUrl, dataPlanes };
}

/** Resolves with how the rollout stands once that is as wanted. */
function rolloutIs(adminUrl: string, isSo: (rollout: Record<string, unknown>) => boolean) {
  return vi.waitFor(
    async () => {
      const { body } = await adminOk(adminUrl, "GET", "/rollout");
      if (!isSo(body)) throw new Error(`the rollout never came to it: ${JSON.stringify(body)}`);
      return body as Record<string, unknown>;
    },
    { timeout: 40_000 },
  );
}

/** The status that each data plane answers with. */
async function statuses(dataPlanes: readonly DataPlaneProcess[]): Promise<number[]> {
  return Promise.all(dataPlanes.map(async ({ proxyPort }) => (await getFresh(proxyPort, "/shop/x")).status));
}

const isDone = ({ phase }: Record<string, unknown>) => phase === "done";

describe("a staged rollout", () => {
  it("stops a change that fails at one data plane and takes it back by itself; one that does not fail reaches all", {
    timeout: 120_000,
  }, async () => {
    const { adminUrl, dataPlanes } = await startFleet("20s");
    const loads = dataPlanes.map(({ proxyPort }) =>
      startRequestLoad({ port: proxyPort, path: "/shop/x", requestsPerSecond: 50, connectionCount: 4 }),
    );
    await Promise.all(loads.map((load) => load.finished(150)));

    const badPort = await startTarget(500);
    const service = "/services/shop-service";
    const change = await adminOk(adminUrl, "PATCH", `${service}?wait=applied&timeout=60s`, {
      host: "127.0.0.1",
      port: badPort,
    });
    expect(change.headers.get("penstock-applied")).toBe("0/3");
    expect(change.headers.get("penstock-rollout")).toBe("waiting");
    const halted = await rolloutIs(adminUrl, ({ phase }) => phase === "halted");
    expect(halted).toMatchObject({ number: 1, halted_by: "error_share", node_count: 3 });
    expect(halted["blamed_node_ids"]).toHaveLength(1);

    // All serve what they had; the one that was reached, under a publication that is higher than any before.
    const isBlamed = (id: unknown) => (halted["blamed_node_ids"] as unknown[]).includes(id);
    await nodesAre(
      adminUrl,
      ({ id, publication, revision, lag }) =>
        lag === 0 &&
        revision === halted["baseline_revision"] &&
        (!isBlamed(id) || publication === halted["baseline_publication"]),
    );
    expect(await statuses(dataPlanes)).toEqual([200, 200, 200]);
    const outcomes = await Promise.all(loads.map((load) => load.stop()));
    expect(outcomes.filter(({ failures }) => failures.length > 0)).toHaveLength(1);
    // What is stored is the change, and stays so.
    expect((await adminOk(adminUrl, "GET", service)).body.port).toBe(badPort);

    const goodPort = await startTarget(204);
    await adminOk(adminUrl, "PUT", "/rollout/policy", { mode: "staged", stages: [{ node_count: 1 }], soak: "1s" });
    await adminOk(adminUrl, "PATCH", service, { port: goodPort });
    expect((await admin(adminUrl, "POST", "/rollout/pause")).status).toBe(409);
    await adminOk(adminUrl, "POST", "/rollout/resume");
    const done = await rolloutIs(adminUrl, isDone);
    expect(done).toMatchObject({ number: 2, halted_by: null, baseline_revision: null });
    await nodesAre(adminUrl, ({ lag }) => lag === 0);
    expect(await statuses(dataPlanes)).toEqual([204, 204, 204]);
  });

  it("judges a stage by what its data plane tells of the change, however short the stage is to be watched", {
    timeout: 120_000,
  }, async () => {
    const { adminUrl, dataPlanes } = await startFleet("100ms");
    const loads = dataPlanes.map(({ proxyPort }) =>
      startRequestLoad({ port: proxyPort, path: "/shop/x", requestsPerSecond: 50, connectionCount: 4 }),
    );
    await Promise.all(loads.map((load) => load.finished(50)));
    const badPort = await startTarget(500);
    await adminOk(adminUrl, "PATCH", "/services/shop-service", { host: "127.0.0.1", port: badPort });
    const waiting = await rolloutIs(adminUrl, ({ waits_for }) => String(waits_for).includes("to tell of requests"));
    expect(waiting).toMatchObject({ number: 1, phase: "running", stage: "1 of 2", serving_count: 1 });
    const ended = await rolloutIs(adminUrl, ({ phase }) => phase !== "running");
    expect(ended).toMatchObject({ number: 1, halted_by: "error_share", blamed_node_ids: [nodeIds[0]] });
    await nodesAre(adminUrl, ({ lag }) => lag === 0);
    expect(await statuses(dataPlanes)).toEqual([200, 200, 200]);
    const outcomes = await Promise.all(loads.map((load) => load.stop()));
    expect(outcomes.map(({ failures }) => failures.length > 0)).toEqual([true, false, false]);
  });

  it("A16: takes back what the first data plane refuses, and the others never hear of it", async () => {
    const { adminUrl, dataPlanes } = await startFleet("3600s");
    const appliedCounts = () =>
      dataPlanes.map(({ lines }) => lines.filter((line) => line.includes('"snapshot applied"')).length);
    const before = appliedCounts();
    // No control plane can know that it is a port of the data plane's own.
    const own = `127.0.0.1:${dataPlanes[0]!.proxyPort}`;
    await adminOk(adminUrl, "POST", "/upstreams/shop/targets", { target: own });
    const halted = await rolloutIs(adminUrl, ({ phase }) => phase === "halted");
    expect(halted).toMatchObject({ halted_by: "nack", blamed_node_ids: [nodeIds[0]], node_count: 3 });
    await nodesAre(adminUrl, ({ lag }) => lag === 0);
    expect(appliedCounts().slice(1)).toEqual(before.slice(1));
    expect(await statuses(dataPlanes)).toEqual([200, 200, 200]);
    const shown = runPenstock(["rollout", "--admin", adminUrl]);
    expect(await shown.ended).toBe(1);
    expect(shown.lines.join("\n")).toContain("is a port of this node itself");
  });

  it("A16: takes back what workers of the first data plane die of, and the others never serve it nor lose a request", {
    timeout: 120_000,
  }, async () => {
    const deadly = await startEchoTargetProcess("deadly");
    // It is deadly to all of them, and would be seen at whoever gets it.
    const { adminUrl, dataPlanes } = await startFleet("3600s", temporaryFolder(), {
      NODE_OPTIONS: `--import ${new URL("../support/crash-preload.mjs", import.meta.url).href}`,
      PENSTOCK_TEST_CRASH_PORT: String(deadly.port),
    });
    const loads = dataPlanes.map(({ proxyPort }) =>
      startRequestLoad({ port: proxyPort, path: "/shop/x", requestsPerSecond: 50, connectionCount: 4 }),
    );
    await Promise.all(loads.map((load) => load.finished(50)));
    const linesOf = ({ lines }: DataPlaneProcess, message: string) =>
      lines.filter((line) => line.includes(`"msg":"${message}"`));
    const appliedCounts = () => dataPlanes.map((dataPlane) => linesOf(dataPlane, "snapshot applied").length);
    const before = appliedCounts();

    await adminOk(adminUrl, "PATCH", "/services/shop-service", { host: "127.0.0.1", port: deadly.port });
    const halted = await rolloutIs(adminUrl, ({ phase }) => phase === "halted");
    // Whichever it tells first: that it gave it up, or that it lost workers.
    expect(["nack", "worker_lost"]).toContain(halted["halted_by"]);
    expect(halted).toMatchObject({
      reason: expect.stringMatching(/worker.* lost/),
      ...{ blamed_node_ids: [nodeIds[0]], node_count: 3 },
    });
    await nodesAre(adminUrl, ({ revision, lag }) => lag === 0 && revision === halted["baseline_revision"]);
    expect(linesOf(dataPlanes[0]!, "worker lost").length).toBeGreaterThan(0);
    // Its workers come back one by one; bounded by the test's own time-out.
    for (let failed = -1; failed !== loads[0]!.outcome.failed; ) {
      failed = loads[0]!.outcome.failed;
      await Promise.all(loads.map(({ outcome, finished }) => finished(outcome.ok + outcome.failed + 100)));
    }

    const [, ...others] = await Promise.all(loads.map((load) => load.stop()));
    expect(others.map(({ failures, perTarget }) => [failures, [...perTarget.keys()]])).toEqual([
      [[], ["good"]],
      [[], ["good"]],
    ]);
    expect(appliedCounts().slice(1)).toEqual(before.slice(1));
    expect(dataPlanes.slice(1).flatMap((dataPlane) => linesOf(dataPlane, "worker lost"))).toEqual([]);
    const shown = runPenstock(["rollout", "--admin", adminUrl]);
    expect(await shown.ended).toBe(1);
    expect(shown.lines.join("\n")).toMatch(/worker.* lost/);
  });

  it("outlives the control plane: after kill -9 every data plane keeps what it has, and the rollout goes on", {
    timeout: 120_000,
  }, async () => {
    const stateDir = temporaryFolder();
    const { controlPlane, adminUrl, dataPlanes } = await startFleet("3600s", stateDir);
    const goodPort = await startTarget(204);
    await adminOk(adminUrl, "PATCH", "/services/shop-service", { host: "127.0.0.1", port: goodPort });
    const before = await rolloutIs(adminUrl, ({ serving_count }) => serving_count === 1);
    const urgent = { name: "later" };
    const waiting = await admin(adminUrl, "POST", "/upstreams", urgent, { "penstock-rollout": "immediate" });
    expect([waiting.status, waiting.headers.get("penstock-rollout")]).toEqual([201, "waiting"]);
    expect((await statuses(dataPlanes)).sort()).toEqual([200, 200, 204]);
    const [adminPort, syncPort] = portsOf(controlPlane);
    await controlPlane.stop("SIGKILL");
    const served = await statuses(dataPlanes);
    expect(served.toSorted()).toEqual([200, 200, 204]);

    await startControlPlane({ stateDir, adminPort, syncPort });
    const after = await rolloutIs(adminUrl, ({ serving_count, node_count }) => serving_count === 1 && node_count === 3);
    for (const name of ["number", "phase", "candidate_publication", "baseline_publication", "reached_node_ids"])
      expect([name, after[name]]).toEqual([name, before[name]]);
    expect(after["waiting_from_revision"]).not.toBeNull();
    await nodesAre(adminUrl, ({ lag }) => lag === 0);
    expect(await statuses(dataPlanes)).toEqual(served);

    const promoting = runPenstock(["rollout", "promote", "--admin", adminUrl]);
    expect(await promoting.ended).toBe(0);
    expect(promoting.lines.join("\n")).toContain("rollout 1: done");
    await nodesAre(adminUrl, ({ lag }) => lag === 0);
    expect(await statuses(dataPlanes)).toEqual([204, 204, 204]);
    // What had waited was to go at once.
    expect((await adminOk(adminUrl, "GET", "/rollout")).body).toMatchObject({
      phase: "done",
      waiting_from_revision: null,
    });
  });
});

/** Resolves when every data plane is as wanted. */
function nodesAre(adminUrl: string, isSo: (node: Record<string, unknown>) => boolean): Promise<void> {
  return vi.waitFor(
    async () => {
      const { body } = await adminOk(adminUrl, "GET", "/clustering/data-planes");
      if (body.data.length !== 3 || !body.data.every(isSo))
        throw new Error(`the data planes never came to it: ${JSON.stringify(body.data)}`);
    },
    { timeout: 15_000 },
  );
}
