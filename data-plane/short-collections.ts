import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import type { Timers } from "./upstream/timers.ts";

/**
 * How V8 collects garbage while much is applied, and else. All that a worker makes of a large
 * configuration outlives the collections that come meanwhile, and each moves in one go what was made since the one before:
 * - Young objects are collected when they take a tenth of their room instead of four fifths: 1 ms at a time in a worker
 *   instead of 2.6, and twice as long by the byte.
 * - They are also while old ones are being marked; otherwise those that gather until that is over are moved in its last
 *   step: with what the next one spares, that takes 4 ms instead of 8.
 * - What is old is not moved together in that step, but where a thread is idle.
 * - Old objects may come to twice what the last collection of them left, instead of 1.4 times that, before the next one:
 *   until a worker serves what it makes, the former configuration is used as well, and none of them finds anything to free.
 */
const shortFlags =
  "--minor-gc-task-trigger=10 --no-separate-gc-phases --gc-experiment-less-compaction --heap-growing-percent=100";
const usualFlags =
  "--minor-gc-task-trigger=80 --separate-gc-phases --no-gc-experiment-less-compaction --heap-growing-percent=0";

/**
 * Who else works at a collection. A thread that has others help it waits for those that have begun, and for their queue,
 * also while these have no core to run on: the longest holds of a worker, of 9 to 14 ms on two cores, were such waits and
 * 2 ms of work at most. What is moved at a time is too little for help to gain anything.
 * One that marks beside a worker is waited for at each collection of young objects, and takes it a core: a worker marks by
 * itself, a millisecond at a time. Its longest holds are 2.9 to 4.7 ms so, instead of 3.9 to 4.6 and more where others have
 * the cores; applying takes no longer.
 */
const helperFlags = [
  "--no-parallel-scavenge --no-parallel-compaction --no-parallel-pointer-update --no-parallel-weak-ref-clearing",
  "--no-parallel-reclaim-unmodified-wrappers --no-concurrent-marking",
].join(" ");

/** For tests: a V8 that does not know one says so on stderr, and works as if it had not been told. */
export const collectorFlags: readonly string[] = [shortFlags, usualFlags, helperFlags].flatMap((all) => all.split(" "));

/** What was replaced becomes garbage, and is collected, in the seconds after. */
const lingerMs = 5_000;

/**
 * For all threads of the process; before any of them is started, and before much is allocated: a thread that marks with
 * help while V8 is told to have none would move objects under those who help.
 */
export function limitHelpers(): void {
  setFlagsFromString(helperFlags);
}

/** Makes `gc` known to every thread that is started from now on. */
export function letThreadsCollect(): void {
  setFlagsFromString("--expose-gc");
}

/** More than short collections let young objects come to. */
const manyBytes = 1024 * 1024;

/**
 * Collects the young objects of this thread at once, if it may (see `letThreadsCollect`) and there are many.
 *
 * - Before much is applied, since V8 looks at how far young objects may come only when it has just collected them: the
 *   first collection after the flags have changed would still wait for the usual four fifths of their room, and most of
 *   what it finds would be what was applied until then (4 to 10 ms in `npm run prove -- apply`, of 1 for the others).
 *   What requests have left is garbage, and that costs nothing.
 * - After a large first configuration, which nobody waits for: what is still young of it would be moved while requests do;
 *   and that twice, since what outlives one collection is young until the next.
 */
export function collectYoungObjects(times = 1): void {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  if (young === undefined || young.space_used_size < manyBytes) return;
  for (let i = 0; i < times; i++) globalThis.gc?.({ type: "minor" });
}

export interface ShortCollectionsOptions {
  readonly timers: Timers;
  /** Default: tells V8, for all threads of the process. */
  readonly set?: (isShort: boolean) => void;
}

/**
 * Makes collections of garbage short in all threads of the process for as long as somebody wants them to be, and some seconds
 * more. They cost requests some 1 % more meanwhile, since there are more of them: what a request makes outlives none.
 */
export class ShortCollections {
  readonly #timers: Timers;
  readonly #set: (isShort: boolean) => void;
  #wantedCount = 0;
  #isShort = false;
  #cancel = () => {};

  constructor({ timers, set = setFlags }: ShortCollectionsOptions) {
    this.#timers = timers;
    this.#set = set;
  }

  begin(): void {
    this.#cancel();
    this.#wantedCount++;
    this.#put(true);
  }

  /** To be called once for each `begin`. */
  end(): void {
    if (--this.#wantedCount === 0) this.#cancel = this.#timers.after(lingerMs, () => this.#put(false));
  }

  /** Runs something that wants the usual ones, in one go. */
  suspend(run: () => void): void {
    const wasShort = this.#isShort;
    this.#put(false);
    try {
      run();
    } finally {
      this.#put(wasShort);
    }
  }

  close(): void {
    this.#cancel();
    this.#put(false);
  }

  #put(isShort: boolean): void {
    if (isShort !== this.#isShort) this.#set(isShort);
    this.#isShort = isShort;
  }
}

function setFlags(isShort: boolean): void {
  setFlagsFromString(isShort ? shortFlags : usualFlags);
}
