/**
 * What clients notice when workers are replaced while 500 new connections a second come, one request each, and others
 * are kept: nothing when it is planned (SIGUSR2), accepting in the workers and in the main thread. And what they lose
 * when a worker dies: what it had accepted, and what waited at its own listening socket.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { adminOk } from "../test/support/admin-client.ts";
import { type ConnectionLoadOutcome, startConnectionLoad } from "../test/support/connection-load.ts";
import { type ProofPlanes, startProofPlanes, startProofTarget } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const rounds = 40;
const newPerSecond = 500;
const keptPerSecond = 200;
const keptCount = 20;
const workerCount = 2;
const deathBatches = 5;
/** Each makes the node wait longer before it starts another worker; a new process begins anew. */
const deathsPerBatch = 5;
const pollMs = 10;
/** Between looking for a worker to lose and losing it: looking keeps the workers busy. */
const calmMs = 300;
const path = "/p?bytes=100";
const preload = fileURLToPath(new URL("../test/support/fault-preload.ts", import.meta.url));

type Accept = "worker" | "main";

/** What happened to clients while something was done to the workers. */
interface Losses {
  readonly fresh: ConnectionLoadOutcome;
  readonly kept: ConnectionLoadOutcome;
}

async function underLoad(port: number, act: () => Promise<void>): Promise<Losses> {
  const fresh = startConnectionLoad({ port, path, requestsPerSecond: newPerSecond, keptCount: null });
  const kept = startConnectionLoad({ port, path, requestsPerSecond: keptPerSecond, keptCount });
  await sleep(500);
  await act();
  await sleep(500);
  return { fresh: await fresh.stop(), kept: await kept.stop() };
}

/** Resolves with the count-th line that says so. */
async function lineNumber({ dataPlane }: ProofPlanes, msg: string, count: number): Promise<Record<string, unknown>> {
  let seen = 0;
  return await dataPlane.jsonLine((line) => line["msg"] === msg && ++seen === count);
}

async function replaceAll(targetPort: number, accept: Accept): Promise<Losses & { readonly replaced: number }> {
  const planes = await startProofPlanes([targetPort], {
    PENSTOCK_WORKERS: String(workerCount),
    PENSTOCK_ACCEPT: accept,
  });
  try {
    const losses = await underLoad(planes.proxyPort, async () => {
      for (let round = 1; round <= rounds; round++) {
        process.kill(planes.dataPlanePid, "SIGUSR2");
        const { isDone } = await lineNumber(planes, "workers replaced", round);
        if (isDone !== true) throw new Error(`not every worker was replaced in round ${round}`);
      }
    });
    return { ...losses, replaced: (await planes.counters())["workers_replaced"]! };
  } finally {
    await planes.stop();
  }
}

/** Connections by worker, the spare among them. */
async function connectionsByWorker({ statusUrl }: ProofPlanes): Promise<Map<number, number>> {
  const text = await (await fetch(`${statusUrl}/metrics`)).text();
  const samples = text.matchAll(/^penstock_worker_connections\{worker="(\d+)"\} (\d+)/gm);
  return new Map([...samples].map(([, worker, count]) => [Number(worker), Number(count)]));
}

/** A worker that carries traffic, once a spare waits to take its place. */
async function nextVictim(planes: ProofPlanes): Promise<number> {
  for (;;) {
    const connections = [...(await connectionsByWorker(planes))];
    const carrying = connections.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a);
    if (connections.length > workerCount && carrying.length === workerCount) return carrying[0]![0];
    await sleep(pollMs);
  }
}

/** Waits until as many workers take connections as should. @returns the time when the node was asked that said so */
async function allListening({ statusUrl }: ProofPlanes): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  // The answer waits for workers that are busy starting, but says what was so when it was asked for.
  const polling = setInterval(async () => {
    const askedAtMs = performance.now();
    const { workers } = (await (await fetch(`${statusUrl}/status`)).json()) as { workers: { listening: number } };
    if (workers.listening === workerCount) resolve(askedAtMs);
  }, pollMs);
  const atMs = await promise;
  clearInterval(polling);
  return atMs;
}

async function lose(planes: ProofPlanes, socketPath: string, count: number): Promise<number> {
  const victim = await nextVictim(planes);
  await sleep(calmMs);
  const atMs = performance.now();
  connect(socketPath).end(String(victim));
  await lineNumber(planes, "worker lost", count);
  return (await allListening(planes)) - atMs;
}

async function loseWorkers(targetPort: number, accept: Accept): Promise<Losses & { readonly slowestMs: number }> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-faults-"));
  const socketPath = join(folder, "faults");
  const planes = await startProofPlanes([targetPort], {
    PENSTOCK_WORKERS: String(workerCount),
    PENSTOCK_ACCEPT: accept,
    NODE_OPTIONS: `--import=${preload}`,
    PENSTOCK_FAULT_SOCKET: socketPath,
  });
  try {
    let slowestMs = 0;
    const losses = await underLoad(planes.proxyPort, async () => {
      for (let count = 1; count <= deathsPerBatch; count++) {
        slowestMs = Math.max(slowestMs, await lose(planes, socketPath, count));
        // Three on one publication, and the node would go back to the one before.
        await adminOk(planes.adminUrl, "PATCH", "/services/proof-service?wait=applied", { retries: count });
      }
    });
    return { ...losses, slowestMs };
  } finally {
    await planes.stop();
    rmSync(folder, { recursive: true });
  }
}

function told({ fresh, kept }: Losses): string {
  return [fresh, kept]
    .map(({ failed, sent, failures }) => `${failed} of ${sent} ${JSON.stringify(failures)}`)
    .join(", ");
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const target = await startProofTarget();
  const figures: Figure[] = [];
  const tell = (name: string, value: number, unit: string, atMost: number | null) =>
    figures.push({ name, value, unit, atMost });
  try {
    for (const accept of ["worker", "main"] as const) {
      const planned = await replaceAll(target.port, accept);
      progress(`accepting in ${accept}, ${planned.replaced} replaced: ${told(planned)}`);
      const what = `accepting in ${accept}, ${planned.replaced} workers replaced:`;
      tell(`${what} new connections lost`, planned.fresh.failed, `of ${planned.fresh.sent}`, 0);
      tell(`${what} requests failed on kept connections`, planned.kept.failed, `of ${planned.kept.sent}`, 0);
    }
    for (const accept of ["worker", "main"] as const) {
      const deaths = deathBatches * deathsPerBatch;
      let [fresh, kept, slowestMs] = [0, 0, 0];
      for (let batch = 0; batch < deathBatches; batch++) {
        const lost = await loseWorkers(target.port, accept);
        progress(
          `accepting in ${accept}, ${deathsPerBatch} workers die: ${told(lost)}, ${Math.round(lost.slowestMs)} ms`,
        );
        fresh += lost.fresh.failed;
        kept += lost.kept.failed;
        slowestMs = Math.max(slowestMs, lost.slowestMs);
      }
      const what = `accepting in ${accept}, ${deaths} workers die:`;
      tell(`${what} new connections lost`, fresh / deaths, "per death", 0.5);
      tell(`${what} requests failed on kept connections`, kept / deaths, "per death", null);
      tell(`${what} until another took its place, slowest`, Math.round(slowestMs), "ms", 500);
    }
    return figures;
  } finally {
    await target.stop();
  }
}
