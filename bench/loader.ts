/**
 * The load, a process of its own: a fixed number of requests. It never repeats a request; whatever is not a whole
 * 200 answer counts as failed.
 */
import { connect, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { AnswerReader } from "./answer-reader.ts";
import { runFixedRate } from "./fixed-rate.ts";
import { type LoadOrder, type LoadResult, silenceTimeoutMs } from "./load-order.ts";

/** What all connections of an order share. */
class ClosedLoop {
  readonly order: LoadOrder;
  readonly requests: readonly Buffer[];
  readonly startMs = performance.now();
  started = 0;
  completed = 0;
  failed = 0;
  resumed = 0;
  /** The newest session, to be resumed by the next connection where the order says so. */
  session: Buffer | null = null;

  constructor(order: LoadOrder) {
    this.order = order;
    this.requests = order.requests.map((text) => Buffer.from(text, "latin1"));
  }

  get isDone(): boolean {
    const { requestCount, maxMs } = this.order;
    // A proxy that fails that often is not worth the time.
    if (this.started >= requestCount || this.failed > requestCount / 100) return true;
    return maxMs !== null && performance.now() - this.startMs > maxMs;
  }

  /** The next requests for one write, at most `count`. */
  take(count: number): Buffer[] {
    const taken: Buffer[] = [];
    while (taken.length < count && !this.isDone) taken.push(this.requests[this.started++ % this.requests.length]!);
    return taken;
  }
}

function open(loop: ClosedLoop): Socket {
  const { port, tls, shape } = loop.order;
  if (tls === null) return connect({ port, host: "127.0.0.1", noDelay: true });
  const { serverName: servername, caPem: ca } = tls;
  const resumes = shape.kind === "new-connections" && shape.resumes === true && loop.session !== null;
  const session = resumes ? { session: loop.session! } : {};
  const socket: TLSSocket = connectTls({
    port,
    host: "127.0.0.1",
    servername,
    ca,
    ALPNProtocols: ["http/1.1"],
    ecdhCurve: tls.group,
    ...session,
  });
  socket.setNoDelay(true);
  socket.on("session", (ticket) => {
    loop.session = ticket;
  });
  socket.on("secureConnect", () => {
    if (socket.isSessionReused()) loop.resumed++;
  });
  return socket;
}

/** Opens one connection and resolves when it is closed. */
function runConnection(loop: ClosedLoop): Promise<void> {
  const { shape, answerBytes } = loop.order;
  const depth = shape.kind === "keep-alive" ? shape.depth : 1;
  const isKept = shape.kind === "keep-alive";
  const reader = new AnswerReader(answerBytes);
  const socket = open(loop);
  let waitingFor = 0;
  const sendNext = () => {
    const requests = loop.take(depth);
    waitingFor = requests.length;
    if (waitingFor === 0) socket.end();
    else socket.write(requests.length === 1 ? requests[0]! : Buffer.concat(requests));
  };
  sendNext();
  socket.setTimeout(silenceTimeoutMs, () => socket.destroy());
  socket.on("data", (bytes: Buffer) => {
    const ended = reader.read(bytes);
    if (ended > waitingFor) socket.destroy();
    loop.completed += Math.min(ended, waitingFor);
    waitingFor -= Math.min(ended, waitingFor);
    if (waitingFor === 0 && isKept && !reader.isMidway) sendNext();
  });
  socket.on("error", () => socket.destroy());
  return new Promise((resolve) => {
    socket.on("close", () => {
      loop.completed -= reader.failed;
      loop.failed += waitingFor + reader.failed;
      resolve();
    });
  });
}

/** A connection that the proxy closed, or that was for one request only, is followed by another. */
async function runConnections(loop: ClosedLoop): Promise<void> {
  while (!loop.isDone) await runConnection(loop);
}

async function runClosedLoop(order: LoadOrder): Promise<LoadResult> {
  const loop = new ClosedLoop(order);
  await Promise.all(Array.from({ length: order.connectionCount }, () => runConnections(loop)));
  const { completed, failed, resumed } = loop;
  return { completed, failed, resumed, elapsedMs: performance.now() - loop.startMs, latencyMs: null };
}

process.on("message", async (order: LoadOrder) => {
  const { shape } = order;
  process.send?.(shape.kind === "fixed-rate" ? await runFixedRate(order, shape.perSecond) : await runClosedLoop(order));
});
process.on("disconnect", () => process.exit());
