import { readFileSync, renameSync } from "node:fs";
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

/** The paths of the requests that a log file tells of. */
function loggedPaths(file: string): unknown[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => (JSON.parse(line) as Record<string, unknown>)["path"]).sort();
}

describe("a data plane that tells what it does", () => {
  it("logs every request through a rotation and to its end, and counts them over both workers", async () => {
    const file = join(temporaryFolder(), "access.log");
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { PENSTOCK_ACCESS_LOG: file } });
    const target = await startEchoTargetProcess("t1");
    const address = `127.0.0.1:${target.port}`;
    await createBalancedRoute(controlPlane.adminUrl, { name: "told", path: "/told", targets: [address] });
    const ask = async (from: number, to: number) => {
      for (let i = from; i < to; i++) expect((await getFresh(dataPlane.proxyPort, `/told/${i}`)).status).toBe(200);
    };

    await ask(10, 30);
    renameSync(file, `${file}.1`);
    await ask(30, 40);
    dataPlane.child.kill("SIGHUP");
    await dataPlane.jsonLine((line) => line["msg"] === "the access log is opened again");
    await ask(40, 60);

    const metrics = await (await fetch(`${dataPlane.statusUrl}/metrics`)).text();
    expect(metrics).toMatch(/^penstock_http_requests_total\{service="[^"]+",route="[^"]+",class="2xx"\} 50$/m);
    expect(metrics).toMatch(
      new RegExp(`^penstock_target_attempts_total\\{upstream="[^"]+",target="${address}"\\} 50$`, "m"),
    );

    // What was logged last is written before the process ends.
    expect(await dataPlane.stop()).toBe(0);
    const paths = [...loggedPaths(`${file}.1`), ...loggedPaths(file)];
    expect(paths.sort()).toEqual(Array.from({ length: 50 }, (_, i) => `/told/${i + 10}`));
    expect(loggedPaths(file)).toContain("/told/59");
  });
});
