/**
 * Row 35: one of two targets is there for a second and gone for the next, for a minute, under 500 requests/s. No request
 * may fail, and the target goes in and out at most once in five seconds. And the target comes back for good in the end.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { startProofPlanes, startProofTarget } from "../test/support/proof-planes.ts";
import { startRequestLoad } from "../test/support/request-load.ts";
import type { Figure } from "./prove.ts";

const seconds = 60;

async function listen(port: number): Promise<Server> {
  const server = createServer((_, response) => void response.setHeader("x-target", "flapping").end("ok"));
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return server;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const steady = await startProofTarget();
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const planes = await startProofPlanes([port, steady.port], { PENSTOCK_WORKERS: "2" });
  const load = startRequestLoad({
    ...{ port: planes.proxyPort, path: "/p/x", requestsPerSecond: 500, connectionCount: 16 },
  });
  try {
    for (let second = 0; second < seconds; second += 2) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      server.close();
      server.closeAllConnections();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      server = await listen(port);
    }
    const { ejections, readmissions } = await planes.counters();
    progress(`${ejections} times out, ${readmissions} times back`);
    const before = load.outcome.perTarget.get("flapping") ?? 0;
    const steadyFrom = performance.now();
    while ((load.outcome.perTarget.get("flapping") ?? 0) <= before + 100) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (performance.now() - steadyFrom > 60_000) break;
    }
    const backMs = performance.now() - steadyFrom;
    const { ok, failed, failures } = await load.stop();
    progress(`${ok} answered, ${failed} failed ${failures[0] ?? ""}`);
    return [
      { name: "requests that failed", value: failed, unit: "requests", atMost: 0 },
      {
        name: "changes between in and out",
        value: Math.round(((ejections! + readmissions!) * 50) / seconds) / 10,
        unit: "per 5 s",
        atMost: 1,
      },
      { name: "from the last return to 100 answers", value: Math.round(backMs / 100) / 10, unit: "s", atMost: 20 },
    ];
  } finally {
    await load.stop();
    await planes.stop();
    await steady.stop();
    server.close();
    server.closeAllConnections();
  }
}
