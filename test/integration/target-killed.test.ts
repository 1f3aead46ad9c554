import { describe, expect, it } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

describe("a target that dies", () => {
  it("costs no request: one of two killed at 1,000 requests/s", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const [first, second] = await Promise.all([startEchoTargetProcess("t1"), startEchoTargetProcess("t2")]);
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "pair",
      path: "/pair",
      targets: [`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`],
    });

    const load = startRequestLoad({
      port: dataPlane.proxyPort,
      path: "/pair/x",
      requestsPerSecond: 1_000,
      connectionCount: 16,
    });
    await load.finished(1_000);
    await first.stop("SIGKILL");
    await load.finished(3_000);
    const outcome = await load.stop();

    expect(outcome.failures).toEqual([]);
    expect(outcome.failed).toBe(0);
    expect(outcome.ok).toBeGreaterThanOrEqual(3_000);
    expect(outcome.perTarget.get("t1")).toBeGreaterThan(400);
    expect(outcome.perTarget.get("t2")).toBeGreaterThan(1_400);
  });

  it("comes back into the balancing when it accepts again, with no field set", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const [first, second] = await Promise.all([startEchoTargetProcess("t1"), startEchoTargetProcess("t2")]);
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "pair",
      path: "/pair",
      targets: [`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`],
    });
    await first.stop("SIGKILL");
    const load = startRequestLoad({
      port: dataPlane.proxyPort,
      path: "/pair/x",
      requestsPerSecond: 100,
      connectionCount: 4,
    });
    await load.finished(50);
    await startEchoTargetProcess("t1-again", first.port);
    let count = load.outcome.ok;
    // Bounded by the test's own time-out; the probe comes at latest 10 s after the one before.
    while ((load.outcome.perTarget.get("t1-again") ?? 0) < 20) await load.finished(++count);
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);
  });

  it("answers 502 while the only target refuses, and 200 at once when it is there again", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const only = await startEchoTargetProcess("only");
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "single",
      path: "/single",
      targets: [`127.0.0.1:${only.port}`],
    });
    await only.stop("SIGKILL");
    const refused = await getFresh(dataPlane.proxyPort, "/single/x");
    expect(refused.status).toBe(502);
    expect(refused.body).toContain("An invalid response was received from the upstream server");
    await startEchoTargetProcess("only", only.port);
    expect((await getFresh(dataPlane.proxyPort, "/single/x")).status).toBe(200);
  });
});
