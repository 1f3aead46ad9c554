import type { Kind } from "../../resource/checked.ts";
import type { Change, Store } from "../../store/store.ts";

/** Changes of one kind that wait for one reader. */
export interface ChangeQueue {
  /**
   * The next change; "overflow" once more were waiting than the queue takes (what waited is then lost); "aborted"
   * once the signal is. One call at a time.
   */
  next(): Promise<Change | "overflow" | "aborted">;
  close(): void;
}

export interface ChangeQueueOptions {
  readonly kind: Kind;
  /** Changes that may wait; more are not kept, so that a reader that stopped costs a bounded amount. */
  readonly maxCount: number;
  /** Wakes a reader that waits. */
  readonly signal: AbortSignal;
}

/** Collects the changes of a kind from now on. */
export function openChangeQueue(store: Store, options: ChangeQueueOptions): ChangeQueue {
  const { kind, maxCount, signal } = options;
  let waiting: Change[] = [];
  let hasOverflowed = false;
  let wake = () => {};
  // Read through a function: the reader must see what others did while it waited.
  const isReady = () => waiting.length > 0 || hasOverflowed || signal.aborted;
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  const unsubscribe = store.onCommit((commit) => {
    if (hasOverflowed) return;
    for (const change of commit.changes) if (change.kind === kind) waiting.push(change);
    if (waiting.length > maxCount) {
      hasOverflowed = true;
      waiting = [];
    }
    wake();
  });
  return {
    async next() {
      while (!isReady()) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (signal.aborted) return "aborted";
      return waiting.shift() ?? "overflow";
    },
    close() {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
      waiting = [];
    },
  };
}
