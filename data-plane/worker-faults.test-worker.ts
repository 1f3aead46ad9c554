import { parentPort, workerData } from "node:worker_threads";
import type { ToWorker, WorkerStart } from "./worker-message.ts";

/**
 * The real traffic worker, which does on request what it never should: `{ worker, fault }` on this channel. Every worker but
 * 1 dies of a config of one of these publications, before it has taken it up.
 */
const deadly = { throws: 666, exits: 667 } as const;
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

if (number !== 1) {
  const main = parentPort!;
  const on = main.on.bind(main);
  const dying = (listener: (message: ToWorker) => void) => (message: ToWorker) => {
    const publication = message.type === "config" ? message.config.publication : 0;
    if (publication === deadly.throws) assertNothing();
    if (publication === deadly.exits) process.exit(3);
    listener(message);
  };
  main.on = ((event: string, listener: (message: ToWorker) => void) =>
    on(event, event === "message" ? dying(listener) : listener)) as typeof main.on;
}

await import("./worker.ts");
