import type { Clock } from "./clock.ts";

/** Whether there is room for a node now, or after how long it is to come again. */
export type Admission = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

/** So many nodes as come in this time at the full rate may come at once. */
const BURST_MS = 1_000;

/**
 * Nobody is sent away for longer: by then a rate that was too low has been noticed. Where more come than this has places,
 * the places are given out again from its beginning: were all told the same time, they would come back at once.
 */
const RETRY_AFTER_MAX_MS = 60_000;

/**
 * Lets nodes in at a limited rate. After a restart of the control plane a whole fleet comes back at once; a hello costs
 * little, and a thousand in one turn of the event loop still delay every write and heartbeat. Whoever is turned away
 * gets a place in time of its own, so that those do not come back at once either.
 *
 * Source: the generic cell rate algorithm (ITU-T I.371), as a virtual schedule.
 */
export class HelloAdmission {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  /** When as much time has passed as the nodes that were let in may take. */
  #dueAtMs = Number.NEGATIVE_INFINITY;
  /** The last place that was given away. */
  #placeAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, maxPerSecond: number) {
    this.#clock = clock;
    this.#intervalMs = 1_000 / maxPerSecond;
  }

  admit(): Admission {
    const nowMs = this.#clock.monotonicMs();
    const dueAtMs = Math.max(this.#dueAtMs, nowMs);
    if (dueAtMs - nowMs < BURST_MS) {
      this.#dueAtMs = dueAtMs + this.#intervalMs;
      return { ok: true };
    }
    const placeAtMs = Math.max(this.#placeAtMs, nowMs) + this.#intervalMs;
    this.#placeAtMs = placeAtMs - nowMs <= RETRY_AFTER_MAX_MS ? placeAtMs : nowMs + this.#intervalMs;
    return { ok: false, retryAfterMs: Math.min(RETRY_AFTER_MAX_MS, Math.ceil(this.#placeAtMs - nowMs)) };
  }
}
