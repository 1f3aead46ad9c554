import { describe, expect, it } from "vitest";
import { adminOk, createBalancedRoute } from "../support/admin-client.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

const wait = "?wait=applied&timeout=30s";

describe("row 22: changing the configuration under load", () => {
  it("swaps a target and a route 20 times, both seen, without a failed request or a closed connection", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const targets = await Promise.all(["t1", "t2"].map((name) => startEchoTargetProcess(name)));
    const addresses = targets.map((target) => `127.0.0.1:${target.port}`);
    await createBalancedRoute(controlPlane.adminUrl, { name: "swap", path: "/swap", targets: [addresses[0]!] });

    const load = startRequestLoad({
      port: dataPlane.proxyPort,
      path: "/swap/x",
      requestsPerSecond: 500,
      connectionCount: 16,
    });
    await load.finished(200);
    const connectionsBefore = load.outcome.connections;
    for (let swap = 0; swap < 20; swap++) {
      const [gone, added] = swap % 2 === 0 ? [addresses[0]!, addresses[1]!] : [addresses[1]!, addresses[0]!];
      await adminOk(controlPlane.adminUrl, "POST", `/upstreams/swap/targets${wait}`, { target: added });
      await adminOk(controlPlane.adminUrl, "DELETE", `/upstreams/swap/targets/${gone}${wait}`);
      await adminOk(controlPlane.adminUrl, "PATCH", `/routes/swap-route${wait}`, {
        paths: ["/swap", `/extra-${swap}`],
      });
      const seen = await getFresh(dataPlane.proxyPort, `/extra-${swap}/x`);
      expect(seen.status).toBe(200);
      expect(seen.text).toContain(`x-target: ${swap % 2 === 0 ? "t2" : "t1"}`);
      expect((await getFresh(dataPlane.proxyPort, `/extra-${swap - 1}/x`)).status).toBe(404);
      await load.finished(200 + (swap + 1) * 50);
    }
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);
    // The loader opens connections up to its limit and a new one only when one was closed on it.
    expect(outcome.connections).toBeLessThanOrEqual(16);
    expect(connectionsBefore).toBeGreaterThan(0);
  });
});
