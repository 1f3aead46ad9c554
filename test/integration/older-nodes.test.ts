import { describe, expect, it } from "vitest";
import { type AdminAnswer, adminOk, createBalancedRoute, dataPlaneRows } from "../support/admin-client.ts";
import {
  type ControlPlaneProcess,
  type DataPlaneProcess,
  portsOf,
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

const olderId = "aaaaaaaa-0000-4000-8000-000000000001";
const newerId = "aaaaaaaa-0000-4000-8000-000000000002";
const applied = "?wait=applied&timeout=20s";

/** Two data planes under load, of which one is from before a capability, and what upgrades do to their control plane. */
async function startMixedFleet(lacked: string) {
  const stateDir = temporaryFolder();
  const controlPlane = await startControlPlane({ stateDir });
  const { adminUrl, syncAddress } = controlPlane;
  const preload = new URL("../support/older-node-preload.mjs", import.meta.url).href;
  const older = await startDataPlane(syncAddress, {
    env: { NODE_OPTIONS: `--import ${preload}`, PENSTOCK_TEST_LACKS: lacked, PENSTOCK_NODE_ID: olderId },
  });
  const newer = await startDataPlane(syncAddress, { env: { PENSTOCK_NODE_ID: newerId } });
  const targets = await Promise.all(["t1", "t2"].map((name) => startEchoTargetProcess(name)));
  const addresses = targets.map(({ port }) => `127.0.0.1:${port}`);
  await createBalancedRoute(adminUrl, { name: "shop", path: "/shop", targets: addresses });
  const loads = [older, newer].map(({ proxyPort }) =>
    startRequestLoad({ port: proxyPort, path: "/shop/x", requestsPerSecond: 100, connectionCount: 4 }),
  );
  /** Resolves when so many more have been answered at each of the two. */
  const goesOn = (count: number) =>
    Promise.all(loads.map(({ outcome, finished }) => finished(outcome.ok + outcome.failed + count)));
  await goesOn(100);
  return {
    ...{ controlPlane, older, newer, addresses, goesOn },
    /** As an upgrade does: the former one ends, the data planes serve on by themselves, and another one comes. */
    async replaceControlPlane(): Promise<ControlPlaneProcess> {
      const [adminPort, syncPort] = portsOf(controlPlane);
      await controlPlane.stop();
      await goesOn(100);
      const successor = await startControlPlane({ stateDir, adminPort, syncPort });
      for (const node of [olderId, newerId])
        await successor.jsonLine((line) => line["msg"] === "node connected" && line["node"] === node);
      return successor;
    },
    /** Every request so far was answered as it should be. */
    async lostNothing() {
      await goesOn(100);
      const outcomes = await Promise.all(loads.map((load) => load.stop()));
      expect(outcomes.map(({ failures }) => failures)).toEqual([[], []]);
    },
  };
}

/** Both serve what was written. */
function reachedBoth({ headers }: AdminAnswer): void {
  expect(headers.get("penstock-applied")).toBe("2/2");
}

async function statusesOf(dataPlanes: readonly DataPlaneProcess[], path: string): Promise<number[]> {
  return Promise.all(dataPlanes.map(async ({ proxyPort }) => (await getFresh(proxyPort, path)).status));
}

/** A route under its name, written; resolves when the data planes that can serve it do. */
function createRoute({ adminUrl }: ControlPlaneProcess, name: string, more: Record<string, unknown> = {}) {
  const route = { name, paths: [`/${name}`], ...more };
  return adminOk(adminUrl, "POST", `/services/shop-service/routes${applied}`, route);
}

const tooOld = "a change needs what nodes are too old for";

describe("row 14: a node that is older than its control plane, under load", () => {
  it("takes no notice of a field that it does not know, as people are told, and gets all else; no request fails", {
    timeout: 120_000,
  }, async () => {
    const { controlPlane, older, newer, replaceControlPlane, lostNothing } =
      await startMixedFleet("config.route-limits");
    const both = [older, newer];
    reachedBoth(await createRoute(controlPlane, "before"));
    const written = await createRoute(controlPlane, "slashes", { limits: { allow_encoded_slashes: true } });
    reachedBoth(written);
    const { id } = written.body;
    expect(written.headers.get("penstock-warning")).toMatch(/^limits: limits of routes: not acted on by nodes/);
    expect(written.headers.get("penstock-warning")).toContain(olderId);
    expect(written.headers.get("penstock-warning")).not.toContain(newerId);
    const told = { capability: "config.route-limits", nodes: [olderId] };
    expect(await controlPlane.jsonLine(({ msg }) => msg === tooOld)).toMatchObject({ kind: "route", id, ...told });
    expect(await statusesOf(both, "/slashes/a")).toEqual([200, 200]);
    expect(await statusesOf(both, "/slashes/a%2Fb")).toEqual([400, 200]);

    const successor = await replaceControlPlane();
    const entities = [{ kind: "route", id, name: "slashes", field: "limits" }];
    expect(await dataPlaneRows(successor)).toMatchObject([
      { id: olderId, nacks: 0, unsupported: [{ capability: told.capability, entities }] },
      { id: newerId, nacks: 0, unsupported: [] },
    ]);
    reachedBoth(await createRoute(successor, "after"));
    expect(await statusesOf(both, "/after/a")).toEqual([200, 200]);
    expect(await statusesOf(both, "/slashes/a%2Fb")).toEqual([400, 200]);
    await lostNothing();
  });

  it("refuses a kind that it does not know, which is named before and then held back, and gets all else; no request fails", {
    timeout: 120_000,
  }, async () => {
    const { controlPlane, older, newer, addresses, replaceControlPlane, lostNothing } =
      await startMixedFleet("config.health-overrides");
    const both = [older, newer];
    await adminOk(controlPlane.adminUrl, "PUT", `/upstreams/shop/targets/${addresses[0]}/unhealthy${applied}`);
    const refused = await controlPlane.jsonLine(({ msg }) => msg === "node refused a publication");
    const { entity_id: id } = (await dataPlaneRows(controlPlane))[0].last_nack;
    expect(refused).toMatchObject({ node: olderId, nack: { reason: "unknown_kind", entityId: id } });
    const placeOf = (message: string) => controlPlane.lines.findIndex((line) => line.includes(`"msg":"${message}"`));
    expect(placeOf(tooOld)).toBeGreaterThanOrEqual(0);
    expect(placeOf(tooOld)).toBeLessThan(placeOf("node refused a publication"));
    const told = { kind: "health_override", capability: "config.health-overrides", nodes: [olderId] };
    expect(await controlPlane.jsonLine(({ msg }) => msg === tooOld)).toMatchObject({ id, ...told });
    reachedBoth(await createRoute(controlPlane, "before"));
    expect(await statusesOf(both, "/before/a")).toEqual([200, 200]);

    const successor = await replaceControlPlane();
    const quarantines = (await adminOk(successor.adminUrl, "GET", "/quarantines")).body.data;
    expect(quarantines).toMatchObject([{ reason: "unknown_kind", entities: [{ kind: "health_override", id }] }]);
    reachedBoth(await createRoute(successor, "after"));
    expect(await statusesOf(both, "/after/a")).toEqual([200, 200]);
    await lostNothing();
  });
});
