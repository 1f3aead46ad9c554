import type { Clock } from "./clock.ts";
import { type Reach, reachByTcp } from "./reach-address.ts";
import { ReconnectPlan, type StreamOutcome } from "./reconnect-plan.ts";

export interface ControlPlaneSearchOptions extends Partial<SearchSettings> {
  /** host:port of each control plane. */
  readonly controlPlanes: readonly string[];
  readonly clock: Clock;
  /** 0 <= random() < 1; for jitter. */
  readonly random: () => number;
  /** A stream is to be opened now; how it ends is to be told. */
  readonly onFound: (address: string) => void;
  /** Nobody is there; the search goes on. */
  readonly onAbsent: (address: string, problem: string) => void;
  /** Default: by TCP. */
  readonly reach?: Reach;
}

/** Every time of the search, each with its default below. */
export interface SearchSettings {
  /** Upper bounds of the first and of every wait for a control plane that has answered; full jitter below them. */
  readonly backoffFirstMaxMs: number;
  readonly backoffMaxMs: number;
  /** A stream that lived this long was a success: the next failure starts the waits anew. */
  readonly stableMs: number;
  /** A control plane that is not there is looked for this often, less up to a fifth. */
  readonly absentMs: number;
  /** For a connection to come about: within it the kernel asks a second time, after 1 s (RFC 6298 section 2). */
  readonly reachTimeoutMs: number;
  /** Those who find a control plane that had not been there open their streams spread over this time. */
  readonly returnSpreadMs: number;
}

export const SEARCH_DEFAULTS: SearchSettings = {
  backoffFirstMaxMs: 200,
  backoffMaxMs: 10_000,
  stableMs: 5_000,
  absentMs: 1_000,
  reachTimeoutMs: 2_000,
  returnSpreadMs: 500,
};

/**
 * Finds the control plane to open a stream to. Before that it looks whether anybody is there, by a bare connection:
 * asking often is then cheap for both, and only those are spared further attempts that have answered one.
 */
export class ControlPlaneSearch {
  readonly #options: ControlPlaneSearchOptions & SearchSettings;
  readonly #plan: ReconnectPlan;
  readonly #reach: Reach;
  /** Addresses where nobody was when they were last tried. */
  readonly #absent = new Set<string>();
  #startedAtMs = 0;
  #stop: () => void = () => {};
  #isStopped = false;

  constructor(options: ControlPlaneSearchOptions) {
    this.#options = { ...SEARCH_DEFAULTS, ...options };
    const { controlPlanes, random, clock, stableMs, absentMs, reachTimeoutMs } = this.#options;
    const bounds = { firstMaxMs: this.#options.backoffFirstMaxMs, maxMs: this.#options.backoffMaxMs };
    this.#plan = new ReconnectPlan({ controlPlanes, random, stableMs, absentMs, ...bounds });
    this.#reach = options.reach ?? reachByTcp(clock, reachTimeoutMs);
  }

  /** Looks for one until one is found, unless it was stopped. */
  start(): void {
    // Whoever is told that nobody is there may stop it then.
    if (this.#isStopped) return;
    const next = this.#plan.next(this.#options.clock.monotonicMs());
    if (next === undefined) return;
    // Without a wait at once: a node that starts is to have its stream open as soon as it can.
    if (next.delayMs === 0) this.#try(next.address);
    else this.#stop = this.#options.clock.after(next.delayMs, () => this.#try(next.address));
  }

  /** The stream that was opened, or the attempt at it, has ended: the search goes on. */
  ended(outcome: Omit<StreamOutcome, "nowMs" | "startedAtMs">): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#plan.ended({ ...outcome, nowMs, startedAtMs: this.#startedAtMs });
    this.start();
  }

  /** For good. */
  stop(): void {
    this.#isStopped = true;
    this.#stop();
  }

  #try(address: string): void {
    this.#startedAtMs = this.#options.clock.monotonicMs();
    this.#stop = this.#reach(address, (problem) => {
      this.#stop = () => {};
      if (problem === null) this.#reached(address);
      else this.#unreached(address, problem);
    });
  }

  #reached(address: string): void {
    const { clock, random, returnSpreadMs, onFound } = this.#options;
    if (this.#absent.delete(address)) this.#stop = clock.after(returnSpreadMs * random(), () => onFound(address));
    else onFound(address);
  }

  #unreached(address: string, problem: string): void {
    this.#absent.add(address);
    this.#options.onAbsent(address, problem);
    this.ended({ address, openMs: null, retryAfterMs: 0, isUnanswered: true });
  }
}
