/**
 * Row 25: a node that is asked for three times what it can do. Its requests cost it much (300 regular expressions
 * each), so that three times as much can be sent by one process beside it. Good answers within the clients' patience
 * must stay at 80 % of the peak, and status and metrics must answer meanwhile.
 */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { p99, probe, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const regexCount = 300;
const peakConnections = 64;
const crowdConnections = 3_000;
const warmupSeconds = 5;
const seconds = 15;
/** What a client waits for an answer. */
const patienceMs = 3_000;
const request = "GET /costly/item HTTP/1.1\r\nHost: a\r\n\r\n";

/** A connection that asks again when it was answered, and is replaced when it is closed or too slow. */
class Client {
  sentAtMs = 0;
  isBusy = false;
  #socket: Socket;
  readonly #port: number;
  readonly #onAnswer: (client: Client, status: number, latencyMs: number) => void;
  #received = "";

  constructor(port: number, onAnswer: (client: Client, status: number, latencyMs: number) => void) {
    this.#port = port;
    this.#onAnswer = onAnswer;
    this.#socket = this.#connect();
  }

  #connect(): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    socket.on("error", () => {});
    socket.on("close", () => {
      if (socket !== this.#socket || this.isClosed) return;
      this.#socket = this.#connect();
      if (this.isBusy) this.#end(0);
    });
    socket.on("data", (bytes) => {
      this.#received += bytes.toString("latin1");
      const headEnd = this.#received.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(this.#received)?.[1] ?? 0);
      if (headEnd < 0 || this.#received.length < headEnd + 4 + length) return;
      const status = Number(this.#received.slice(9, 12));
      this.#received = "";
      this.#end(status);
    });
    return socket;
  }

  isClosed = false;

  send(): void {
    this.isBusy = true;
    this.sentAtMs = performance.now();
    this.#socket.write(request);
  }

  #end(status: number): void {
    this.isBusy = false;
    this.#onAnswer(this, status, performance.now() - this.sentAtMs);
  }

  giveUp(): void {
    this.#received = "";
    this.#socket.destroy();
  }

  close(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }
}

interface Outcome {
  readonly goodPerSecond: number;
  readonly shedCount: number;
}

/** Good answers per second over the time measured. @param rate requests per second; null = as fast as they are answered */
async function load(port: number, connectionCount: number, rate: number | null): Promise<Outcome> {
  let good = 0;
  let shedCount = 0;
  const idle: Client[] = [];
  const clients = Array.from({ length: connectionCount }, () => {
    return new Client(port, (client, status, latencyMs) => {
      if (status === 200 && latencyMs <= patienceMs) good++;
      if (status === 503) shedCount++;
      if (rate === null) client.send();
      else idle.push(client);
    });
  });
  await sleep(1_000);
  const startedAtMs = performance.now();
  let sent = 0;
  if (rate === null) for (const client of clients) client.send();
  else idle.push(...clients);
  const sending = setInterval(() => {
    const nowMs = performance.now();
    const due = rate === null ? 0 : Math.floor(((nowMs - startedAtMs) / 1_000) * rate);
    // A request that finds no connection is one that its client would have had to queue: it is not sent later.
    for (; sent < due; sent++) idle.shift()?.send();
    for (const client of clients) if (client.isBusy && nowMs - client.sentAtMs > patienceMs) client.giveUp();
  }, 10);
  await sleep(warmupSeconds * 1_000);
  const [goodBefore, shedBefore] = [good, shedCount];
  await sleep(seconds * 1_000);
  const outcome = { goodPerSecond: (good - goodBefore) / seconds, shedCount: shedCount - shedBefore };
  clearInterval(sending);
  for (const client of clients) client.close();
  return outcome;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const target = await startEchoTarget("t1", 0);
  const planes = await startProofPlanes([target.port]);
  try {
    const paths = Array.from({ length: regexCount }, (_, i) => `~/costly/[a-z]+/${i}$`);
    const route = (name: string, body: object) =>
      adminOk(planes.adminUrl, "POST", "/services/proof-service/routes?wait=applied", {
        name,
        strip_path: false,
        ...body,
      });
    await route("costly-decoys", { paths, regex_priority: 1 });
    await route("costly", { paths: ["~/costly/[a-z]+$"] });
    const peak = await load(planes.proxyPort, peakConnections, null);
    progress(`peak: ${Math.round(peak.goodPerSecond)} good answers per second`);
    await sleep(3_000);
    const status = probe(`${planes.statusUrl}/status`, 100);
    const metrics = probe(`${planes.statusUrl}/metrics`, 100);
    const crowded = await load(planes.proxyPort, crowdConnections, 3 * peak.goodPerSecond);
    progress(`at three times that: ${Math.round(crowded.goodPerSecond)}, and ${crowded.shedCount} shed`);
    const slowestMs = Math.max(p99(await status.stop()), p99(await metrics.stop()));
    await sleep(5_000);
    const after = await load(planes.proxyPort, peakConnections, null);
    const lost = (one: Outcome) => Math.round((1 - one.goodPerSecond / peak.goodPerSecond) * 100);
    return [
      { name: "goodput lost at three times the peak", value: lost(crowded), unit: "% of the peak", atMost: 20 },
      { name: "status and metrics meanwhile, p99", value: Math.round(slowestMs), unit: "ms", atMost: 1_500 },
      { name: "goodput lost when it is over", value: lost(after), unit: "% of the peak", atMost: 10 },
    ];
  } finally {
    await planes.stop();
    target.close();
  }
}
