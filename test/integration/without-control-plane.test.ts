import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

  it("row 16: starts from the generation before where a bit of the newest has flipped, and says which file is damaged", async () => {
    const controlPlane = await startControlPlane();
    const stateDir = temporaryFolder();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { stateDir });
    const target = await startEchoTargetProcess("t1");
    const targets = [`127.0.0.1:${target.port}`];
    for (const name of ["one", "two"])
      await createBalancedRoute(controlPlane.adminUrl, { name, path: `/${name}`, targets });
    // What is served and not yet written is written before a node ends.
    await dataPlane.stop();
    await controlPlane.stop("SIGKILL");
    const current = join(stateDir, "data-plane", "snapshot", "snapshot.current");
    const flip = (file: string) => {
      const bytes = readFileSync(file);
      bytes[Math.floor(bytes.length / 2)]! ^= 1;
      writeFileSync(file, bytes);
    };
    flip(current);
    const restarted = await startDataPlane(controlPlane.syncAddress, { stateDir });
    const line = await restarted.jsonLine(({ msg }) => msg === "kept snapshot not usable");
    expect(line["file"]).toBe(current);
    await restarted.jsonLine((line) => line["msg"] === "applied");
    expect((await getFresh(restarted.proxyPort, "/one/x")).status).toBe(200);
    await restarted.stop();

    for (const name of ["snapshot.current", "snapshot.previous"]) {
      const file = join(stateDir, "data-plane", "snapshot", name);
      if (existsSync(file)) writeFileSync(file, "damaged");
    }
    const empty = await startDataPlane(controlPlane.syncAddress, { stateDir });
    await empty.jsonLine(({ msg }) => msg === "kept snapshot not usable");
    expect((await getFresh(empty.proxyPort, "/one/x")).status).toBe(503);
    expect((await fetch(`${empty.statusUrl}/status/ready`)).status).toBe(503);
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
