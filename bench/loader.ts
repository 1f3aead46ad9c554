/**
 * The load, a process of its own: a fixed number of requests over keep-alive connections, one at a time on each. It
 * never repeats a request; whatever is not a whole 200 answer counts as failed.
 */
import { connect } from "node:net";

export interface LoadOrder {
  readonly port: number;
  readonly request: string;
  readonly answerBytes: number;
  readonly connectionCount: number;
  readonly requestCount: number;
}

export interface LoadResult {
  readonly completed: number;
  readonly failed: number;
  readonly elapsedMs: number;
}

const headEnd = Buffer.from("\r\n\r\n");
/** A proxy that no longer answers must end the run, not hang it. */
const silenceTimeoutMs = 10_000;

function runLoad(order: LoadOrder): Promise<LoadResult> {
  const request = Buffer.from(order.request, "latin1");
  const startMs = performance.now();
  let started = 0;
  let completed = 0;
  let failed = 0;
  return new Promise((resolve) => {
    let open = 0;
    const finishConnection = () => {
      open--;
      if (open === 0) resolve({ completed, failed, elapsedMs: performance.now() - startMs });
    };
    const openConnection = () => {
      open++;
      const socket = connect({ port: order.port, host: "127.0.0.1", noDelay: true });
      let received: Buffer = Buffer.alloc(0);
      let isWaiting = false;
      const sendNext = () => {
        isWaiting = started < order.requestCount;
        if (isWaiting) {
          started++;
          socket.write(request);
        } else {
          socket.end();
        }
      };
      socket.setTimeout(silenceTimeoutMs, () => socket.destroy());
      socket.on("connect", sendNext);
      socket.on("data", (chunk: Buffer) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        const end = received.indexOf(headEnd);
        if (end === -1 || received.length < end + headEnd.length + order.answerBytes) return;
        if (received.length === end + headEnd.length + order.answerBytes && isOk(received)) completed++;
        else failed++;
        received = Buffer.alloc(0);
        sendNext();
      });
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        if (isWaiting) failed++;
        // A connection that the proxy closed is opened anew, so that the load stays what it is.
        if (started < order.requestCount && failed < order.requestCount / 100) openConnection();
        finishConnection();
      });
    };
    for (let i = 0; i < order.connectionCount; i++) openConnection();
  });
}

function isOk(answer: Buffer): boolean {
  return answer.toString("latin1", 9, 12) === "200";
}

process.on("message", async (order: LoadOrder) => {
  process.send?.(await runLoad(order));
});
process.on("disconnect", () => process.exit());
