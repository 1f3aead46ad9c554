import { readFileSync, writeFileSync } from "node:fs";
import { type ProofControlPlane, startProofControlPlane } from "./proof-planes.ts";

/** How long what came to a thread's event loop had to wait before it was taken up. */
export interface LoopDelay {
  /** Of the times from one turn of a timer to the next, less its period, as perf_hooks measures. */
  readonly p99Ms: number;
  /**
   * Of all moments: 99 % of what comes at random waits no longer. One long stall counts here for as long as it lasts,
   * and above as one of many turns.
   */
  readonly momentP99Ms: number;
  readonly maxMs: number;
}

const preload = new URL("./loop-delay-preload.mjs", import.meta.url).href;

/** A control plane as a process that can be asked how it does. Linux only. */
export class MeasuredControlPlane {
  readonly #plane: ProofControlPlane;
  #askedCount = 0;

  private constructor(plane: ProofControlPlane) {
    this.#plane = plane;
  }

  /** @param env its ports, for instance */
  static async start(folder: string, env: Record<string, string> = {}): Promise<MeasuredControlPlane> {
    return new MeasuredControlPlane(
      await startProofControlPlane(folder, { NODE_OPTIONS: `--import ${preload}`, ...env }),
    );
  }

  get adminUrl(): string {
    return this.#plane.adminUrl;
  }

  /** host:port where nodes connect. */
  get syncAddress(): string {
    return this.#plane.syncAddress;
  }

  get pid(): number {
    return this.#plane.process.pid;
  }

  /** Of its main thread, since it was asked before. */
  async loopDelay(): Promise<LoopDelay> {
    this.#askedCount++;
    let seen = 0;
    const told = this.#plane.process.jsonLine((line) => line["msg"] === "loop delay" && ++seen === this.#askedCount);
    this.#plane.process.child.kill("SIGUSR2");
    return (await told) as unknown as LoopDelay;
  }

  /** Most that it had in memory since it started, or since `forgetPeak`. */
  peakBytes(): number {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))![1]) * 1024;
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, "5");
  }

  async kill(): Promise<void> {
    await this.#plane.process.stop("SIGKILL");
  }
}
