/**
 * Loaded into a data plane before its own code (`node --import`): whoever writes the number of a worker to the socket
 * PENSTOCK_FAULT_SOCKET has that worker die of an uncaught exception, outside of any connection.
 */
import { createServer } from "node:net";
import { isMainThread, workerData } from "node:worker_threads";

/** More than a data plane of a proof has workers at one time. */
const cellCount = 64;
const checkMs = 2;
const channel = new BroadcastChannel("worker-faults");
// No thread is to live for this.
(channel as unknown as { unref(): void }).unref();

if (isMainThread) waitForOrders(process.env["PENSTOCK_FAULT_SOCKET"]);
else dieWhenTold((workerData as { number?: number } | null)?.number);

function waitForOrders(path: string | undefined): void {
  if (path === undefined) return;
  const cells = new Int32Array(new SharedArrayBuffer(4 * cellCount));
  channel.onmessage = () => channel.postMessage(cells);
  const server = createServer((socket) => socket.on("data", (bytes) => Atomics.store(cells, Number(bytes), 1)));
  server.listen(path).unref();
}

/** By a cell and not by a message: for its first message Node would keep the thread busy for 80 ms, before it dies. */
function dieWhenTold(number: number | undefined): void {
  if (number === undefined) return;
  channel.onmessage = (event) => {
    const { data } = event as unknown as { data: unknown };
    if (!(data instanceof Int32Array)) return;
    channel.close();
    const timer = setInterval(() => {
      if (Atomics.exchange(data, number, 0) === 1) throw new Error("a fault that a proof has asked for");
    }, checkMs);
    timer.unref();
  };
  channel.postMessage(number);
}
