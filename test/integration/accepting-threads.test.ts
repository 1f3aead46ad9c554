import { describe, expect, it } from "vitest";
import { createBalancedRoute } from "../support/admin-client.ts";
import { startControlPlane, startDataPlane, startEchoTargetProcess } from "../support/penstock-processes.ts";
import { sendRaw } from "../support/raw-http.ts";
import { startRequestLoad } from "../support/request-load.ts";

describe.each(["worker", "main"] as const)("a node that accepts connections in %s", (accept) => {
  it("serves kept and fresh connections, pipelining and large bodies, and loses none when its workers are replaced", async () => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress, { env: { PENSTOCK_ACCEPT: accept } });
    const target = await startEchoTargetProcess("t1");
    await createBalancedRoute(controlPlane.adminUrl, { name: "a", path: "/a", targets: [`127.0.0.1:${target.port}`] });
    const port = dataPlane.proxyPort;
    const head = (method: string, path: string, lines = "") =>
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`;

    const pipelined = await sendRaw(
      port,
      head("GET", "/a/1") + head("GET", "/a/2") + head("GET", "/a/3", "Connection: close\r\n"),
    );
    expect(pipelined.text.match(/"url": "\/\d"/g)).toEqual(['"url": "/1"', '"url": "/2"', '"url": "/3"']);
    const body = "x".repeat(3_000_000);
    const upload = await sendRaw(
      port,
      head("POST", "/a", `Content-Length: ${body.length}\r\nConnection: close\r\n`) + body,
    );
    expect(upload.text).toContain(`"bodyBytes": ${body.length}`);
    const download = await sendRaw(port, head("GET", "/a?bytes=3000000", "Connection: close\r\n"));
    expect(download.body).toHaveLength(3_000_000);
    expect(download.text).toContain("X-Kong-Proxy-Latency");

    const load = startRequestLoad({ port, path: "/a", requestsPerSecond: 200, connectionCount: 8 });
    await load.finished(50);
    if (process.platform !== "win32") {
      dataPlane.child.kill("SIGUSR2");
      await dataPlane.jsonLine((line) => line["msg"] === "workers replaced" && line["isDone"] === true);
    }
    await load.finished(load.outcome.sent + 100);
    const outcome = await load.stop();
    expect(outcome.failures).toEqual([]);

    const { workers, counters } = (await (await fetch(`${dataPlane.statusUrl}/status`)).json()) as {
      workers: unknown;
      counters: Record<string, number>;
    };
    expect(workers).toEqual({ count: 2, listening: 2, serving: 2 });
    expect(counters).toMatchObject({ workers_lost: 0, workers_replaced: process.platform === "win32" ? 0 : 2 });
    expect(await dataPlane.stop()).toBe(0);
  });
});
