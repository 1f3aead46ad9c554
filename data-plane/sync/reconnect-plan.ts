import { type BackoffOptions, backoffMs, shuffled } from "./backoff.ts";

export interface ReconnectPlanOptions extends BackoffOptions {
  /** host:port of each control plane. */
  readonly controlPlanes: readonly string[];
  /** A stream that lived this long was a success: the next failure starts the waits anew. */
  readonly stableMs: number;
  /** 0 <= random() < 1; for jitter. */
  readonly random: () => number;
}

/** How a stream, or the attempt to open one, ended. */
export interface StreamOutcome {
  readonly nowMs: number;
  /** How long it was open; null when it never was. */
  readonly openMs: number | null;
  /** For so long the control plane asked not to be asked again; 0 when it did not. */
  readonly retryAfterMs: number;
}

/** No control plane keeps a node away for longer than this. */
const RETRY_AFTER_MAX_MS = 60_000;

/** Which control plane is tried next, and when. */
export class ReconnectPlan {
  readonly #options: ReconnectPlanOptions;
  /** Addresses not tried yet in this round. */
  #untried: string[] = [];
  #failedRounds = 0;
  /** Until then one that was asked has no room. */
  #notBeforeMs = 0;

  constructor(options: ReconnectPlanOptions) {
    this.#options = options;
  }

  /** The address to try now; undefined without any. */
  next(): string | undefined {
    const { controlPlanes, random } = this.#options;
    if (this.#untried.length === 0) this.#untried = shuffled(controlPlanes, random);
    return this.#untried.shift();
  }

  /**
   * The next address of a round is tried at once, whatever the last one said. Between rounds, and after a stream that
   * had lived, the node waits: until those without room may be asked again, and a random time on top of that.
   * @returns in how many milliseconds to try again
   */
  delayMs({ nowMs, openMs, retryAfterMs }: StreamOutcome): number {
    const { stableMs, firstMaxMs, maxMs, random } = this.#options;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
    if (openMs !== null && openMs >= stableMs) {
      this.#failedRounds = 0;
      this.#untried = [];
    } else if (this.#untried.length > 0) {
      return 0;
    }
    return this.#notBeforeMs - nowMs + backoffMs(this.#failedRounds++, random(), { firstMaxMs, maxMs });
  }
}
