/**
 * Four targets behind an upstream with the algorithm latency, 500 requests/s. One of them begins to answer 200 ms later
 * than the others: 2 s after that it gets at most a twentieth of the requests.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import { startRequestLoad } from "../test/support/request-load.ts";
import type { Figure } from "./prove.ts";

const requestsPerSecond = 500;
const delayMs = 200;
const settleMs = 2_000;
const measureMs = 10_000;
const slowName = "t3";

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  let isSlow = false;
  const servers = await Promise.all(
    [0, 1, 2, 3].map((i) => listen(`t${i}`, () => (isSlow && `t${i}` === slowName ? delayMs : 0))),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  const planes = await startProofPlanes(ports, { PENSTOCK_WORKERS: "2" });
  await adminOk(planes.adminUrl, "PATCH", "/upstreams/proof?wait=applied&timeout=10s", { algorithm: "latency" });
  const load = startRequestLoad({
    ...{ port: planes.proxyPort, path: "/p/x", requestsPerSecond, connectionCount: 64 },
  });
  /** Answers of the slow one, and of all, so far. */
  const counts = () => {
    const { perTarget } = load.outcome;
    return { slow: perTarget.get(slowName) ?? 0, all: [...perTarget.values()].reduce((sum, count) => sum + count, 0) };
  };
  const percentSince = (before: ReturnType<typeof counts>) => {
    const now = counts();
    return Math.round(((now.slow - before.slow) * 10_000) / Math.max(now.all - before.all, 1)) / 100;
  };
  try {
    await sleep(settleMs);
    const atStart = counts();
    await sleep(settleMs);
    const equal = percentSince(atStart);
    progress(`${equal} % while all four are alike`);
    isSlow = true;
    await sleep(settleMs);
    const settled = counts();
    await sleep(measureMs);
    const slow = percentSince(settled);
    const { failed } = await load.stop();
    progress(`${slow} % from 2 s after it got slow`);
    return [
      { name: "share of one of four that are alike", value: equal, unit: "%", atMost: null },
      { name: "share of one that is 200 ms slower, from 2 s on", value: slow, unit: "%", atMost: 5 },
      { name: "requests that failed", value: failed, unit: "requests", atMost: 0 },
    ];
  } finally {
    await load.stop();
    await planes.stop();
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  }
}

/** @param delayMs asked with each request */
async function listen(name: string, delayMs: () => number): Promise<Server> {
  const server = createServer((_, response) => {
    const answer = () => void response.setHeader("x-target", name).end("ok");
    const waitMs = delayMs();
    if (waitMs === 0) answer();
    else setTimeout(answer, waitMs);
  });
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
