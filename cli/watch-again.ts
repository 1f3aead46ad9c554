import { setTimeout as sleep } from "node:timers/promises";
import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";

export interface WatchedAgain<T> {
  /** Opens the stream anew. */
  readonly open: (options: CallOptions) => AsyncIterable<T>;
  readonly signal: AbortSignal;
  /** The control plane is gone, or still is; another attempt follows. */
  readonly onGone: (error: unknown) => void;
  /** It is back: what follows tells all that there is anew. */
  readonly onBack: () => void;
}

const delayMinMs = 500;
const delayMaxMs = 5_000;

/** What no second attempt makes better. */
const finalCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.Unimplemented,
]);

/**
 * What a stream tells, for as long as it is wanted. Where it was open once, and ends, it is opened again, after a pause that
 * doubles from 0.5 s to 5 s while there is no answer. Throws what the first attempt failed with, and what is refused.
 */
export async function* watchAgain<T>({ open, signal, onGone, onBack }: WatchedAgain<T>): AsyncGenerator<T> {
  let wasOpen = false;
  let isGone = false;
  let delayMs = delayMinMs;
  const onHeader = () => {
    wasOpen = true;
    delayMs = delayMinMs;
    if (isGone) onBack();
    isGone = false;
  };
  while (true) {
    let failure: unknown = new ConnectError("the stream has ended", Code.Unavailable);
    try {
      for await (const told of open({ signal, onHeader })) yield told;
    } catch (error) {
      failure = error;
    }
    if (signal.aborted || !wasOpen || finalCodes.has(ConnectError.from(failure).code)) throw failure;
    isGone = true;
    onGone(failure);
    await sleep(delayMs, undefined, { signal });
    delayMs = Math.min(2 * delayMs, delayMaxMs);
  }
}
