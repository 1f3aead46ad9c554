import { describe, expect, it, onTestFinished } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import { startControlPlane, temporaryFolder } from "../support/penstock-processes.ts";
import { SimulatedFleet } from "../support/simulated-fleet.ts";

const nodeCount = 50;
const wait = "?wait=applied&timeout=30s";

describe("row 10: a fleet of 50 nodes", () => {
  it("comes to the same state at once, by one delta a change, and is back after the control plane was killed", async () => {
    const stateDir = temporaryFolder();
    const controlPlane = await startControlPlane({ stateDir });
    await createBalancedRoute(controlPlane.adminUrl, { name: "fleet", path: "/", targets: ["10.0.0.1:80"] });
    const fleet = await SimulatedFleet.open(controlPlane.syncAddress, nodeCount);
    onTestFinished(() => fleet.close());
    await fleet.all("in-sync");
    expect(await fleet.count()).toMatchObject({ wholeCount: nodeCount - 1, stateCount: 1 });

    const target = "/upstreams/fleet/targets/10.0.0.1:80";
    for (let weight = 1; weight <= 5; weight++) {
      const answer = await adminOk(controlPlane.adminUrl, "PATCH", target + wait, { weight });
      expect(answer.headers.get("penstock-applied")).toBe(`${nodeCount}/${nodeCount}`);
    }
    const changed = { mostPushes: 5, leastPushes: 5, stateCount: 1, refusalCount: 0 };
    expect(await fleet.count()).toMatchObject(changed);

    await controlPlane.stop("SIGKILL");
    await fleet.all("disconnected");
    const adminPort = Number(new URL(controlPlane.adminUrl).port);
    const syncPort = Number(controlPlane.syncAddress.split(":").at(-1));
    const restarted = await startControlPlane({ stateDir, adminPort, syncPort });
    await fleet.all("in-sync");
    expect(await fleet.count()).toMatchObject({ mostPushes: 0, stateCount: 1 });
    const answer = await adminOk(restarted.adminUrl, "PATCH", target + wait, { weight: 9 });
    expect(answer.headers.get("penstock-applied")).toBe(`${nodeCount}/${nodeCount}`);
  });
});
