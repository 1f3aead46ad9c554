import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { rotatedTicketKey, ticketKeyMadeAtMs } from "./ticket-key.ts";

/** Who the change log names. */
const actor = "ticket-key-rotation";

/** Until another try, after one that the store did not take. */
const retryMs = 60_000;

export interface TicketKeyRotation {
  readonly store: Pick<Store, "image" | "transact">;
  readonly clock: Pick<Clock, "unixMs" | "after">;
  /** Age at which the key is replaced. */
  readonly rotationMs: number;
  readonly log: Pick<Log, "error">;
}

/**
 * Replaces the key of session tickets whenever it is old: who gets hold of one can read no more than the sessions of
 * that time. Does nothing while there is none. Returns the way to stop.
 */
export function startTicketKeyRotation({ store, clock, rotationMs, log }: TicketKeyRotation): () => void {
  let cancel = () => {};
  let isStopped = false;
  const schedule = (delayMs: number) => {
    if (!isStopped) cancel = clock.after(delayMs, () => void turn());
  };
  /** Also right after a clock that was set back. */
  const untilOldMs = (): number => {
    const madeAtMs = ticketKeyMadeAtMs(store.image);
    return madeAtMs === null ? rotationMs : Math.min(rotationMs, madeAtMs + rotationMs - clock.unixMs());
  };
  const turn = async () => {
    if (untilOldMs() > 0) return schedule(untilOldMs());
    const outcome = await store.transact([rotatedTicketKey(clock.unixMs())], actor);
    if (!outcome.ok) log.error({ conflict: outcome.conflict.type }, "the key of session tickets could not be replaced");
    schedule(outcome.ok ? rotationMs : retryMs);
  };
  schedule(Math.max(0, untilOldMs()));
  return () => {
    isStopped = true;
    cancel();
  };
}
