import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { AccessLogCount } from "./access-log-count.ts";
import { pinned } from "./bench-process.ts";
import type { LoadOrder, LoadResult } from "./load-order.ts";
import { cpuTimeMs, residentMb } from "./process-tree.ts";
import type { RunningSubject } from "./subject.ts";
import type { FromTargets, TargetCounts, ToTargets } from "./targets.ts";

/** One measurement of one contestant. */
export interface Measurement {
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
  readonly latencyMs: LoadResult["latencyMs"];
  readonly residentMb: number;
  readonly failed: number;
  /** Connections that resumed a TLS session, per request. */
  readonly resumedPerRequest: number;
  /** Connections that the subject opened to the targets during the measurement. */
  readonly targetConnections: number;
  /** Share of the requests that the first target got. */
  readonly firstTargetShare: number;
  /** Body that reached the targets, per request. */
  readonly bodyBytesPerRequest: number;
  /** Lines that came into the access log; null: there is none. */
  readonly loggedLines: number | null;
  /** Heads as the targets got them. */
  readonly forwardedHeads: readonly string[];
}

/**
 * Over a thousand routes caddy took 1.3 ms a request (W1r): it would be warmed up for four minutes. At 150 us a
 * request, twice what a plane's W1 costs on a slow machine, the time is never reached.
 */
const warmUpMaxMs = 30_000;

/** The targets and the load: child processes on a core of their own. */
export class Rig {
  readonly targetPorts: readonly [number, number];
  readonly #targets: ChildProcess;
  readonly #loader: ChildProcess;

  private constructor(targets: ChildProcess, loader: ChildProcess, targetPorts: readonly [number, number]) {
    this.#targets = targets;
    this.#loader = loader;
    this.targetPorts = targetPorts;
  }

  static async start(core: number | null): Promise<Rig> {
    const targets = startChild(core, "./targets.ts");
    const [listening] = (await once(targets, "message")) as [FromTargets];
    if (listening.type !== "listening") throw new Error("the targets did not say their ports");
    return new Rig(targets, startChild(core, "./loader.ts"), listening.ports);
  }

  /** Sends `warmUpCount` requests as fast as the subject takes them, or for half a minute, then measures what the order says. */
  async measure(subject: RunningSubject, order: LoadOrder, warmUpCount: number): Promise<Measurement> {
    this.#targets.send({ type: "answer", bytes: order.answerBytes } satisfies ToTargets);
    const warmUpShape = order.shape.kind === "fixed-rate" ? ({ kind: "keep-alive", depth: 1 } as const) : order.shape;
    // Before the warm-up, after which nothing may wait: 1.5 s of rest cost 3 us for each request that follows.
    const accessLog = subject.accessLogPath === null ? null : await AccessLogCount.start(subject.accessLogPath);
    const warmUp = await this.#load({ ...order, shape: warmUpShape, requestCount: warmUpCount, maxMs: warmUpMaxMs });
    await this.#targetCounts();
    const cpuBeforeMs = cpuTimeMs(subject.pid);
    const { completed, failed, resumed, elapsedMs, latencyMs } = await this.#load(order);
    const cpuMs = cpuTimeMs(subject.pid) - cpuBeforeMs;
    const counts = await this.#targetCounts();
    const requests = counts[0].requests + counts[1].requests;
    return {
      cpuUsPerRequest: (cpuMs * 1000) / completed,
      requestsPerSecond: (completed * 1000) / elapsedMs,
      latencyMs,
      residentMb: residentMb(subject.pid),
      failed,
      resumedPerRequest: resumed / completed,
      targetConnections: counts[0].connections + counts[1].connections,
      firstTargetShare: counts[0].requests / requests,
      bodyBytesPerRequest: (counts[0].bodyBytes + counts[1].bodyBytes) / requests,
      loggedLines: accessLog && (await accessLog.lines(warmUp.completed + completed)) - warmUp.completed,
      forwardedHeads: counts.map(({ lastHead }) => lastHead),
    };
  }

  stop(): void {
    this.#targets.disconnect();
    this.#loader.disconnect();
  }

  async #load(order: LoadOrder): Promise<LoadResult> {
    this.#loader.send(order);
    const [result] = (await once(this.#loader, "message")) as [LoadResult];
    return result;
  }

  /** What the targets saw since the last call. */
  async #targetCounts(): Promise<readonly [TargetCounts, TargetCounts]> {
    this.#targets.send({ type: "counts" } satisfies ToTargets);
    const [message] = (await once(this.#targets, "message")) as [FromTargets];
    if (message.type !== "counts") throw new Error("the targets did not answer with their counts");
    return message.counts;
  }
}

function startChild(core: number | null, file: string): ChildProcess {
  const [command, args] = pinned(core, [process.execPath, fileURLToPath(new URL(file, import.meta.url))]);
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  child.once("exit", (code) => {
    // Disconnected children leave with 0; any other end would leave the bench waiting for ever.
    if (code !== 0) throw new Error(`${file} ended with ${code}`);
  });
  return child;
}
