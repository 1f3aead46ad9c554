import type { Holding } from "./judge-offer.ts";
import type { SyncState } from "./sync-client.ts";

/** Whether the stream is open and nothing newer is known than what is served. */
export function isLevel(
  { connection, newestPublication, problem }: Pick<SyncState, "connection" | "newestPublication" | "problem">,
  held: Holding | null,
): boolean {
  return connection === "connected" && problem === null && held !== null && newestPublication <= held.publication;
}

/**
 * How long ago this node last heard of a control plane, and served all that one has. By the monotonic clock: what
 * people set their clocks to is no outage.
 */
export class SyncContact {
  readonly #monotonicMs: () => number;
  #lastWordAtMs: number | null = null;
  #hasWordOnStream = false;
  /** null while in sync; never before it first was. */
  #outOfSyncSinceMs: number | null | "never" = "never";

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Since the last message of a control plane; null before the first. */
  get silenceMs(): number | null {
    return this.#lastWordAtMs === null ? null : this.#monotonicMs() - this.#lastWordAtMs;
  }

  /** For how long what is served has not been all that a control plane has; 0 while it is, null when it never was. */
  get outOfSyncMs(): number | null {
    if (this.#outOfSyncSinceMs === "never") return null;
    return this.#outOfSyncSinceMs === null ? 0 : this.#monotonicMs() - this.#outOfSyncSinceMs;
  }

  /** A stream has begun: what was said on another one does not count for it. */
  streamOpened(): void {
    this.#hasWordOnStream = false;
  }

  heard(): void {
    this.#lastWordAtMs = this.#monotonicMs();
    this.#hasWordOnStream = true;
  }

  /** To be told at every change. @param isLevelNow see isLevel */
  judged(isLevelNow: boolean): void {
    if (isLevelNow && this.#hasWordOnStream) this.#outOfSyncSinceMs = null;
    else if (this.#outOfSyncSinceMs === null) this.#outOfSyncSinceMs = this.#monotonicMs();
  }
}
