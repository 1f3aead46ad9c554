/**
 * Loaded into a data plane before its own code (`node --import`): each thread appends to a file of its own in the folder
 * PENSTOCK_STALL_FOLDER for how long its event loop was held up, as lines of JSON (`Stall`).
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, threadId } from "node:worker_threads";

/** A time in which the thread took up nothing else. */
export interface Stall {
  /** Unix time of its end. */
  readonly endedAtMs: number;
  /** By the clock: also what the system gave to others meanwhile. */
  readonly ms: number;
  /** Of it, the thread's own CPU time. */
  readonly cpuMs: number;
}

const tickMs = 1;
/** Shorter ones are not told. */
const toldFromMs = 2;
const writeEveryMs = 50;

const folder = process.env["PENSTOCK_STALL_FOLDER"];
if (folder !== undefined) watch(join(folder, isMainThread ? "main" : `worker-${threadId}`));

function watch(path: string): void {
  const stalls: Stall[] = [];
  let lastMs = performance.now();
  let lastCpuMs = cpuNowMs();
  setInterval(() => {
    const nowMs = performance.now();
    const nowCpuMs = cpuNowMs();
    const ms = nowMs - lastMs - tickMs;
    if (ms >= toldFromMs) stalls.push({ endedAtMs: Date.now(), ms, cpuMs: nowCpuMs - lastCpuMs });
    lastMs = nowMs;
    lastCpuMs = nowCpuMs;
  }, tickMs).unref();
  setInterval(() => {
    if (stalls.length === 0) return;
    appendFileSync(
      path,
      stalls
        .splice(0)
        .map((stall) => `${JSON.stringify(stall)}\n`)
        .join(""),
    );
    // Writing is no stall of the thread's own.
    lastMs = performance.now();
    lastCpuMs = cpuNowMs();
  }, writeEveryMs).unref();
}

function cpuNowMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
