/**
 * Row 25: a node that is asked for three times what it can do. Its requests cost it much (300 regular expressions
 * each), so that three times as much can be sent by one process beside it. Good answers within the clients' patience
 * must stay at 80 % of the peak, and status and metrics must answer meanwhile. The peak is the better of the one before
 * and the one afterwards. Needs two cores, one for the data plane and one for the clients, and nobody else on
 * them: how much others took is one of the figures.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { adminOk } from "../test/support/admin-client.ts";
import { startEchoTarget } from "../test/support/echo-target.ts";
import { type ProofPlanes, p99, probe, startProofPlanes } from "../test/support/proof-planes.ts";
import type { Figure } from "./prove.ts";

const regexCount = 300;
const peakConnections = 64;
/**
 * So many that there is an idle one for each request that is due: who was refused is not read for a second, and so each
 * sends one a second. Fewer than a node takes of one address (--connections-per-address-max).
 */
const crowdConnections = 8_000;
const warmupSeconds = 5;
const seconds = 15;
/** What a client waits for an answer. */
const patienceMs = 3_000;
const sendEveryMs = 10;
const request = "GET /costly/item HTTP/1.1\r\nHost: a\r\n\r\n";

/** A connection that asks again when it was answered, and is replaced when it is closed or too slow. */
class Client {
  sentAtMs = 0;
  isBusy = false;
  #socket: Socket;
  readonly #port: number;
  readonly #onAnswer: (client: Client, status: number, latencyMs: number) => void;
  #received = "";
  /** The first connection is open. */
  readonly connected: Promise<void>;

  constructor(port: number, onAnswer: (client: Client, status: number, latencyMs: number) => void) {
    this.#port = port;
    this.#onAnswer = onAnswer;
    this.#socket = this.#connect();
    const socket = this.#socket;
    this.connected = new Promise((resolve) => {
      for (const event of ["connect", "close"]) socket.once(event, () => resolve());
    });
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
  readonly sentPerSecond: number;
  readonly shedCount: number;
  readonly gaveUpCount: number;
  /** What 99 % of the good answers were waited for less than. */
  readonly goodP99Ms: number;
  /** Share of a core that this process, the clients and the target, has used: near 1 it is what is measured. */
  readonly coreShare: number;
  /** How late the clients' timer was at most: what they measure is late by that, too. */
  readonly clientLagMs: number;
  /** Share of the data plane's core that it has used: below 1 it was not asked for enough, or kept from it. */
  readonly dataPlaneShare: number;
  /** Cores that neither this process nor the data plane has used, but somebody has. 0 where there is no /proc. */
  readonly otherCores: number;
}

interface CoresUsed {
  readonly here: number;
  readonly dataPlane: number;
  readonly machine: number;
}

/** Seconds of a core that were used since the start. */
function coresUsed(dataPlanePid: number): CoresUsed {
  const { user, system } = process.cpuUsage();
  const here = (user + system) / 1e6;
  if (process.platform !== "linux") return { here, dataPlane: 0, machine: here };
  // Both in ticks of 10 ms (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq, steal.
  const all = readFileSync("/proc/stat", "latin1").split("\n", 1)[0]!.split(/\s+/).slice(1, 9).map(Number);
  const idle = all[3]! + all[4]!;
  const own = readFileSync(`/proc/${dataPlanePid}/stat`, "latin1").split(") ")[1]!.split(" ");
  const machine = (all.reduce((sum, ticks) => sum + ticks, 0) - idle) / 100;
  return { here, dataPlane: (Number(own[11]) + Number(own[12])) / 100, machine };
}

/** The data plane on the first core, the clients and their target on the second: neither is to starve the other. */
function pin(dataPlanePid: number): void {
  const pinTo = (core: number, pid: number) =>
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)], { stdio: "ignore" });
  try {
    pinTo(0, dataPlanePid);
    pinTo(1, process.pid);
  } catch {
    // No second core, or no taskset: the figures say how much the clients and others took.
  }
}

/** Good answers per second over the time measured. @param rate requests per second; null = as fast as they are answered */
async function load(planes: ProofPlanes, connectionCount: number, rate: number | null): Promise<Outcome> {
  let good = 0;
  const latencies: number[] = [];
  let shedCount = 0;
  let sentCount = 0;
  let gaveUpCount = 0;
  const idle: Client[] = [];
  const send = (client: Client | undefined) => {
    if (client === undefined) return;
    sentCount++;
    client.send();
  };
  const clients = Array.from({ length: connectionCount }, () => {
    return new Client(planes.proxyPort, (client, status, latencyMs) => {
      if (status === 200 && latencyMs <= patienceMs) good = latencies.push(latencyMs);
      if (status === 503) shedCount++;
      if (status === 0) gaveUpCount++;
      if (rate === null) send(client);
      else idle.push(client);
    });
  });
  // A connection that the kernel has opened may still wait at the listener.
  await Promise.all(clients.map(({ connected }) => connected));
  await sleep(2_000);
  const startedAtMs = performance.now();
  let dueCount = 0;
  if (rate === null) for (const client of clients) send(client);
  else idle.push(...clients);
  let clientLagMs = 0;
  let turnedAtMs = startedAtMs;
  const sending = setInterval(() => {
    const nowMs = performance.now();
    clientLagMs = Math.max(clientLagMs, nowMs - turnedAtMs - sendEveryMs);
    turnedAtMs = nowMs;
    const due = rate === null ? 0 : Math.floor(((nowMs - startedAtMs) / 1_000) * rate);
    // A request that finds no connection is one that its client would have had to queue: it is not sent later.
    for (; dueCount < due; dueCount++) send(idle.shift());
    for (const client of clients) if (client.isBusy && nowMs - client.sentAtMs > patienceMs) client.giveUp();
  }, sendEveryMs);
  await sleep(warmupSeconds * 1_000);
  const [goodBefore, sentBefore, shedBefore, gaveUpBefore] = [good, sentCount, shedCount, gaveUpCount];
  clientLagMs = 0;
  const coresBefore = coresUsed(planes.dataPlanePid);
  const measuredFromMs = performance.now();
  await sleep(seconds * 1_000);
  const measuredMs = performance.now() - measuredFromMs;
  const cores = coresUsed(planes.dataPlanePid);
  const share = (usedSeconds: number) => (usedSeconds * 1_000) / measuredMs;
  const here = share(cores.here - coresBefore.here);
  const dataPlane = share(cores.dataPlane - coresBefore.dataPlane);
  const outcome = {
    goodPerSecond: ((good - goodBefore) / measuredMs) * 1_000,
    sentPerSecond: ((sentCount - sentBefore) / measuredMs) * 1_000,
    shedCount: shedCount - shedBefore,
    gaveUpCount: gaveUpCount - gaveUpBefore,
    goodP99Ms: p99(latencies.slice(goodBefore)),
    coreShare: here,
    clientLagMs,
    dataPlaneShare: dataPlane,
    otherCores: Math.max(0, share(cores.machine - coresBefore.machine) - here - dataPlane),
  };
  clearInterval(sending);
  for (const client of clients) client.close();
  return outcome;
}

/** The same under the eyes of a monitor, which costs the data plane as much in each. */
async function loadWatched(
  planes: ProofPlanes,
  connectionCount: number,
  rate: number | null,
): Promise<{ readonly outcome: Outcome; readonly slowestMs: number }> {
  const probes = ["status", "metrics"].map((name) => probe(`${planes.statusUrl}/${name}`, 100));
  const outcome = await load(planes, connectionCount, rate);
  const latencies = await Promise.all(probes.map((each) => each.stop()));
  return { outcome, slowestMs: Math.max(...latencies.map(p99)) };
}

function outcomeText(outcome: Outcome): string {
  const [good, sent] = [Math.round(outcome.goodPerSecond), Math.round(outcome.sentPerSecond)];
  return (
    `${good} good answers of ${sent} requests per second, ${outcome.shedCount} shed, ${outcome.gaveUpCount} given up; ` +
    `good p99 ${Math.round(outcome.goodP99Ms)} ms; ` +
    `cores: clients ${outcome.coreShare.toFixed(2)} (at most ${Math.round(outcome.clientLagMs)} ms late), data plane ${outcome.dataPlaneShare.toFixed(2)}, others ${outcome.otherCores.toFixed(2)}`
  );
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
    pin(planes.dataPlanePid);
    const { outcome: peak } = await loadWatched(planes, peakConnections, null);
    progress(`peak: ${outcomeText(peak)}`);
    await sleep(3_000);
    const { outcome: crowded, slowestMs } = await loadWatched(planes, crowdConnections, 3 * peak.goodPerSecond);
    progress(`at three times that: ${outcomeText(crowded)}`);
    await sleep(5_000);
    const { outcome: after } = await loadWatched(planes, peakConnections, null);
    progress(`afterwards: ${outcomeText(after)}`);
    const percent = (ratio: number) => Math.round(ratio * 100);
    const best = Math.max(peak.goodPerSecond, after.goodPerSecond);
    const notSent = 1 - crowded.sentPerSecond / (3 * peak.goodPerSecond);
    const otherCores = Math.max(...[peak, crowded, after].map((outcome) => outcome.otherCores));
    const lostAfter = 1 - after.goodPerSecond / peak.goodPerSecond;
    return [
      {
        name: "goodput lost at three times the peak",
        value: percent(1 - crowded.goodPerSecond / best),
        unit: "% of the peak",
        atMost: 20,
      },
      { name: "status and metrics meanwhile, p99", value: Math.round(slowestMs), unit: "ms", atMost: 1_500 },
      { name: "goodput lost when it is over", value: percent(lostAfter), unit: "% of the peak", atMost: 10 },
      { name: "requests that found no client to send them", value: percent(notSent), unit: "% of all", atMost: 10 },
      { name: "others' use of the machine", value: percent(otherCores), unit: "% of a core", atMost: 25 },
    ];
  } finally {
    await planes.stop();
    target.close();
  }
}
