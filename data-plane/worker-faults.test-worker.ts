import { workerData } from "node:worker_threads";
import type { WorkerStart } from "./worker-message.ts";

/** The real traffic worker, which does on request what it never should: `{ worker, fault }` on this channel. */
const channel = new BroadcastChannel("worker-faults");
const { number } = workerData as WorkerStart;
const kept: number[][] = [];

channel.onmessage = (event) => {
  const { worker, fault, gate } = (event as unknown as { data: { worker: number; fault: string; gate: Int32Array } })
    .data;
  if (worker !== number) return;
  if (fault === "throws") setImmediate(() => assertNothing());
  if (fault === "stalls and throws") {
    // Accepts nothing until it is released: what comes has to wait at its listening socket.
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    Atomics.wait(gate, 1, 0);
    assertNothing();
  }
  if (fault === "loops for ever") for (;;);
  if (fault === "runs out of memory") for (;;) kept.push(Array.from({ length: 10_000 }, Math.random));
};

function assertNothing(): never {
  throw new Error("a bug outside of any connection");
}

await import("./worker.ts");
