import { getHeapStatistics } from "node:v8";
import { runInNewContext } from "node:vm";
import { letThreadsCollect, ShortCollections } from "./short-collections.ts";
import type { Timers } from "./upstream/timers.ts";

export interface MemoryReturnOptions {
  readonly timers: Timers;
  /** What the thread's heap takes beyond what it uses. */
  readonly spareBytes: () => number;
  /** Gives that back. */
  readonly collect: () => void;
}

/** Long enough for the snapshot to be on disk, and for changes that come one after the other to be over. */
const quietMs = 1_000;
/** More than a node with a small state ever has to spare. */
const worthBytes = 32 * 1024 * 1024;

/**
 * Gives back what the main thread's heap grew by while it applied a large snapshot. V8 would keep it for as long as
 * the thread does little, since it makes its heap smaller only when it collects and collects only when there is much
 * to collect: with 10,000 routes about 100 MB.
 */
export class MemoryReturn {
  readonly #options: MemoryReturnOptions;
  #cancel = () => {};

  constructor(options: MemoryReturnOptions) {
    this.#options = options;
  }

  /** A snapshot was applied: looks a while after the last of these whether there is something to give back. */
  applied(): void {
    const { timers, spareBytes, collect } = this.#options;
    this.#cancel();
    this.#cancel = timers.after(quietMs, () => {
      if (spareBytes() > worthBytes) collect();
    });
  }

  close(): void {
    this.#cancel();
  }
}

/** What this thread's heap takes, with the buffers that belong to it, beyond what is in use at most. */
export function spareHeapBytes(): number {
  const {
    total_physical_size: takenBytes,
    used_heap_size: usedBytes,
    external_memory: bufferBytes,
  } = getHeapStatistics();
  return takenBytes - usedBytes + bufferBytes;
}

/**
 * Collects this thread's garbage at once. With 10,000 routes it blocks for 60 to 100 ms on a busy machine, a fraction
 * of what applying them took: for the main thread, never for one that carries traffic.
 */
export function collectGarbage(): void {
  // Only contexts that are made from now on have the function.
  letThreadsCollect();
  const collect = runInNewContext("gc") as () => void;
  collect();
}

/** How garbage is collected in this process while snapshots are applied, and after. */
export function heapKeeping(timers: Timers) {
  const collections = new ShortCollections({ timers });
  const collect = () => collections.suspend(collectGarbage);
  return { collections, memory: new MemoryReturn({ timers, spareBytes: spareHeapBytes, collect }) };
}
