import { describe, expect, it } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import {
  startControlPlane,
  startDataPlane,
  startEchoTargetProcess,
  temporaryFolder,
} from "../support/penstock-processes.ts";
import { getFresh } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

describe("rows 1, 15 and 17: a data plane without its control plane", () => {
  it("goes on serving when the control plane is killed, and restarts from its last good snapshot", async () => {
    const controlPlane = await startControlPlane();
    const stateDir = temporaryFolder();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { stateDir });
    const target = await startEchoTargetProcess("t1");
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "kept",
      path: "/kept",
      targets: [`127.0.0.1:${target.port}`],
    });

    const load = startRequestLoad({
      port: dataPlane.proxyPort,
      path: "/kept/x",
      requestsPerSecond: 200,
      connectionCount: 8,
    });
    await load.finished(100);
    await controlPlane.stop("SIGKILL");
    await load.finished(500);
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);

    await dataPlane.stop("SIGKILL");
    const restarted = await startDataPlane(controlPlane.syncAddress, { stateDir });
    await restarted.jsonLine((line) => line["msg"] === "applied");
    const answer = await getFresh(restarted.proxyPort, "/kept/x");
    expect(answer.status).toBe(200);
    expect((await fetch(`${restarted.statusUrl}/status/ready`)).status).toBe(200);
  });

  it("on its first start listens, is not ready, answers 503 and keeps trying until there is one", async () => {
    const early = await startControlPlane();
    const adminPort = Number(new URL(early.adminUrl).port);
    const syncPort = Number(early.syncAddress.split(":").at(-1));
    await early.stop();

    const dataPlane = await startDataPlane(`127.0.0.1:${syncPort}`);
    expect((await fetch(`${dataPlane.statusUrl}/status/ready`)).status).toBe(503);
    const unconfigured = await getFresh(dataPlane.proxyPort, "/anything");
    expect(unconfigured.status).toBe(503);

    const target = await startEchoTargetProcess("t1");
    const controlPlane = await startControlPlane({ adminPort, syncPort });
    await dataPlane.jsonLine((line) => line["msg"] === "applied");
    await createBalancedRoute(controlPlane.adminUrl, {
      name: "late",
      path: "/late",
      targets: [`127.0.0.1:${target.port}`],
    });
    expect((await getFresh(dataPlane.proxyPort, "/late/x")).status).toBe(200);
  });
});
