/**
 * Row 22: a target and a route are changed every half second, 20 times, under 1,500 requests/s on 16 connections. No
 * request fails, no connection of a client is closed, and connections to a target that stays are used on.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { startProofPlanes } from "../test/support/proof-planes.ts";
import { startRequestLoad } from "../test/support/request-load.ts";
import type { Figure } from "./prove.ts";

const swapCount = 20;
const swapEveryMs = 500;
const requestsPerSecond = 1_500;
const connectionCount = 16;
/** At the target that stays: one for each connection of a client, and one in each worker for whoever looks at a swap. */
const keptMaxCount = connectionCount + 2;
const wait = "?wait=applied&timeout=30s";

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const targets = await Promise.all(["stays", "a", "b"].map((name) => startEchoTarget(name, 0)));
  const [stays, ...swapped] = targets;
  const planes = await startProofPlanes([stays!.port, swapped[0]!.port], { PENSTOCK_WORKERS: "2" });
  const load = startRequestLoad({ port: planes.proxyPort, path: "/p?bytes=100", requestsPerSecond, connectionCount });
  const unseen: number[] = [];
  try {
    // All connections are there before the first swap.
    await load.finished(requestsPerSecond);
    const before = { ...load.outcome };
    const startedAtMs = performance.now();
    for (let swap = 0; swap < swapCount; swap++) {
      const [gone, added] = [swapped[swap % 2]!, swapped[(swap + 1) % 2]!];
      const upstream = `/upstreams/proof/targets`;
      await adminOk(planes.adminUrl, "POST", upstream + wait, { target: `127.0.0.1:${added.port}` });
      await adminOk(planes.adminUrl, "DELETE", `${upstream}/127.0.0.1:${gone.port}${wait}`);
      await adminOk(planes.adminUrl, "PATCH", `/routes/proof-route${wait}`, { paths: ["/p", `/extra-${swap}`] });
      const seen = await fetch(`http://127.0.0.1:${planes.proxyPort}/extra-${swap}?bytes=1`);
      await seen.text();
      if (seen.status !== 200) unseen.push(swap);
      await sleep(Math.max(startedAtMs + (swap + 1) * swapEveryMs - performance.now(), 0));
    }
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const outcome = await load.stop();
    const rate = (outcome.ok + outcome.failed - before.ok - before.failed) / seconds;
    progress(
      `${outcome.ok} requests, ${Math.round(rate)}/s over ${seconds.toFixed(1)} s; ${outcome.failures.join("; ")}`,
    );
    const counted = await planes.counters();
    return [
      { name: "failed requests", value: outcome.failed, unit: "requests", atMost: 0 },
      {
        name: "swaps that were not seen when their write had returned",
        value: unseen.length,
        unit: "swaps",
        atMost: 0,
      },
      {
        name: "connections that clients had to open beside their 16",
        value: Math.max(outcome.connections - connectionCount, 0),
        unit: "connections",
        atMost: 0,
      },
      {
        name: "connections that the target that stays was opened",
        value: stays!.connectionCount,
        unit: "connections",
        atMost: keptMaxCount,
      },
      {
        name: "requests cut or lost at a target",
        value: counted["responses_cut"]! + counted["attempts_lost"]!,
        unit: "requests",
        atMost: 0,
      },
      {
        name: "requests/s short of 1,450",
        value: Math.max(Math.round(1_450 - rate), 0),
        unit: "requests/s",
        atMost: 0,
      },
    ];
  } finally {
    await load.stop();
    await planes.stop();
    for (const target of targets) target.close();
  }
}
