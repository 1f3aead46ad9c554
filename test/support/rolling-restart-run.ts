/**
 * Restarts a proxy again and again under load, as a process of its own, so that it can have a network namespace of its
 * own: `rolling-restart-run.ts '{"subject":...}'` prints its outcome as one JSON line.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionLoadOutcome, startConnectionLoad } from "./connection-load.ts";
import { startProofTarget } from "./proof-planes.ts";
import { peers, penstock } from "./rolling-subjects.ts";

export interface RollingRestartOrder {
  /** "penstock", or the name of a peer. */
  readonly subject: string;
  readonly restarts: number;
  readonly requestsPerSecond: number;
  /** Connections that are kept; null: one per request. */
  readonly keptCount: number | null;
}

export type RollingRestartOutcome = ConnectionLoadOutcome & { readonly elapsedMs: number };

async function run(order: RollingRestartOrder): Promise<RollingRestartOutcome> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-rolling-"));
  const target = await startProofTarget();
  // Connections that come without a pause are taken until the drain time is over; that can be short here.
  const start =
    order.subject === "penstock" ? penstock(order.keptCount === null ? "2s" : "30s") : peers[order.subject]!.start;
  const subject = await start(target.port, folder);
  const startedAtMs = performance.now();
  const load = startConnectionLoad({ ...order, port: subject.port, path: "/p?bytes=100" });
  try {
    await sleep(500);
    for (let restart = 0; restart < order.restarts; restart++) {
      await subject.restart();
      await sleep(100);
    }
    await sleep(500);
    return { ...(await load.stop()), elapsedMs: Math.round(performance.now() - startedAtMs) };
  } finally {
    await subject.stop();
    await target.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

console.log(JSON.stringify(await run(JSON.parse(process.argv[2]!) as RollingRestartOrder)));
process.exit(0);
