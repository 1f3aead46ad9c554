import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { StoredResource } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { Log } from "../telemetry/log.ts";
import { deletion } from "./deletion.ts";

/** Who the change log names. */
const actor = "health-override-expiry";

/** Until another try, after one that the store did not take. */
const retryMs = 1_000;

/** So that a clock that is set on is noticed; also well below what a timer can hold. */
const lookAtLeastEveryMs = 60 * 60 * 1_000;

export interface OverrideExpiry {
  readonly store: Pick<Store, "image" | "transact" | "onCommit">;
  readonly clock: Pick<Clock, "unixMs" | "after">;
  readonly log: Pick<Log, "error">;
}

/**
 * Deletes what people decided of targets when its time is over, also what expired while nobody ran. One that was
 * decided anew meanwhile stays. Returns the way to stop.
 */
export function startOverrideExpiry({ store, clock, log }: OverrideExpiry): () => void {
  let cancel = () => {};
  let isStopped = false;
  let isBusy = false;
  const schedule = (delayMs: number) => {
    cancel();
    if (!isStopped) cancel = clock.after(delayMs, () => void turn());
  };
  const scheduleNext = () => {
    const [first] = timedOverrides(store).sort((left, right) => left.expiresAtMs - right.expiresAtMs);
    if (first === undefined) cancel();
    else schedule(Math.min(Math.max(0, first.expiresAtMs - clock.unixMs()), lookAtLeastEveryMs));
  };
  const turn = async () => {
    isBusy = true;
    const nowMs = clock.unixMs();
    const writes = timedOverrides(store)
      .filter(({ expiresAtMs }) => expiresAtMs <= nowMs)
      .map(({ stored }) => deletion(stored, stored.revision));
    const outcome = writes.length === 0 ? null : await store.transact(writes, actor);
    isBusy = false;
    if (outcome === null || outcome.ok) return scheduleNext();
    if (outcome.conflict.type === "unavailable")
      log.error({ problem: outcome.conflict.message }, "an expired decision of a target's health could not be deleted");
    // Else another write came first: what is left is looked at anew.
    schedule(retryMs);
  };
  const stopListening = store.onCommit(({ changes }) => {
    if (!isBusy && changes.some(({ kind }) => kind === "health_override")) scheduleNext();
  });
  scheduleNext();
  return () => {
    isStopped = true;
    stopListening();
    cancel();
  };
}

function timedOverrides({ image }: OverrideExpiry["store"]): {
  readonly stored: StoredResource<"health_override">;
  readonly expiresAtMs: number;
}[] {
  return [...image.all("health_override")].flatMap((stored) => {
    const { expiresAt } = stored.message;
    return expiresAt === undefined ? [] : [{ stored, expiresAtMs: timestampMs(expiresAt) }];
  });
}
