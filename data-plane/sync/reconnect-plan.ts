import { type BackoffOptions, backoffMs, shuffled } from "./backoff.ts";

export interface ReconnectPlanOptions extends BackoffOptions {
  /** host:port of each control plane. */
  readonly controlPlanes: readonly string[];
  /** A stream that lived this long was a success: the next failure starts the waits anew. */
  readonly stableMs: number;
  /** One that is not there is looked for this often, less up to a fifth, or as soon as that was noticed. */
  readonly absentMs: number;
  /** 0 <= random() < 1; for jitter. */
  readonly random: () => number;
}

/** How a stream, or the attempt to open one, ended. */
export interface StreamOutcome {
  readonly address: string;
  readonly nowMs: number;
  /** When the attempt began. */
  readonly startedAtMs: number;
  /** How long it was open; null when it never was. */
  readonly openMs: number | null;
  /** For so long the control plane asked not to be asked again; 0 when it did not. */
  readonly retryAfterMs: number;
  /** Nobody is there, or nothing was heard within the time to connect: no word of a control plane's was it. */
  readonly isUnanswered: boolean;
}

export interface Attempt {
  readonly address: string;
  readonly delayMs: number;
}

interface Candidate {
  readonly address: string;
  dueAtMs: number;
  /** Until then it asked not to be asked. */
  notBeforeMs: number;
  /** Failures in a row that were a control plane's own. */
  failureCount: number;
}

/** No control plane keeps a node away for longer than this. */
const RETRY_AFTER_MAX_MS = 60_000;

/**
 * Which control plane is tried next, and when. One that has answered, whatever it said, is spared: each failure doubles
 * the time over which the next attempt is spread, and it may ask for more. One that is not there has nothing to be
 * spared: it is looked for at a steady pace, so that a node is back soon after an outage, however long that was.
 */
export class ReconnectPlan {
  readonly #options: ReconnectPlanOptions;
  /** In the order in which those are tried that are due at the same time. */
  #candidates: Candidate[];

  constructor(options: ReconnectPlanOptions) {
    this.#options = options;
    this.#candidates = shuffled(options.controlPlanes, options.random).map((address) => ({
      ...{ address, dueAtMs: Number.NEGATIVE_INFINITY, notBeforeMs: Number.NEGATIVE_INFINITY, failureCount: 0 },
    }));
  }

  /** What to try next; undefined without any control plane. */
  next(nowMs: number): Attempt | undefined {
    let next: Candidate | undefined;
    for (const candidate of this.#candidates)
      if (next === undefined || Math.max(candidate.dueAtMs, nowMs) < Math.max(next.dueAtMs, nowMs)) next = candidate;
    return next && { address: next.address, delayMs: Math.max(0, next.dueAtMs - nowMs) };
  }

  /**
   * The others are tried first, and at once where they are due. After a stream that had lived, all of them are due
   * within a short random time: a control plane that ends is missed by its whole fleet at once.
   */
  ended({ address, nowMs, startedAtMs, openMs, retryAfterMs, isUnanswered }: StreamOutcome): void {
    const { stableMs, absentMs, random } = this.#options;
    const index = this.#candidates.findIndex((candidate) => candidate.address === address);
    const [candidate] = this.#candidates.splice(index, 1) as [Candidate];
    this.#candidates.push(candidate);
    if (openMs !== null && openMs >= stableMs) this.#startAnew(nowMs);
    if (isUnanswered) {
      candidate.dueAtMs = Math.max(nowMs, startedAtMs + 0.8 * absentMs) + 0.2 * absentMs * random();
      return;
    }
    if (openMs !== null && openMs >= stableMs && retryAfterMs === 0) return;
    candidate.notBeforeMs = nowMs + Math.min(retryAfterMs, RETRY_AFTER_MAX_MS);
    candidate.dueAtMs = candidate.notBeforeMs + backoffMs(candidate.failureCount++, random(), this.#options);
  }

  #startAnew(nowMs: number): void {
    const { random } = this.#options;
    const waitMs = backoffMs(0, random(), this.#options);
    this.#candidates = shuffled(this.#candidates, random);
    for (const candidate of this.#candidates) {
      candidate.dueAtMs = Math.max(nowMs, candidate.notBeforeMs) + waitMs;
      candidate.failureCount = 0;
    }
  }
}
