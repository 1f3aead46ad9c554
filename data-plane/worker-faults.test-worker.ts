import { workerData } from "node:worker_threads";
import type { WorkerStart } from "./worker-message.ts";

/** The real traffic worker, which does on request what it never should: `{ worker, fault }` on this channel. */
const channel = new BroadcastChannel("worker-faults");
const { number } = workerData as WorkerStart;
const kept: number[][] = [];

channel.onmessage = (event) => {
  const { worker, fault } = (event as unknown as { data: { worker: number; fault: string } }).data;
  if (worker !== number) return;
  if (fault === "throws") setImmediate(() => assertNothing());
  if (fault === "loops for ever") for (;;);
  if (fault === "runs out of memory") for (;;) kept.push(Array.from({ length: 10_000 }, Math.random));
};

function assertNothing(): never {
  throw new Error("a bug outside of any connection");
}

await import("./worker.ts");
