import { setFlagsFromString } from "node:v8";
import type { Timers } from "./upstream/timers.ts";

/**
 * How V8 collects garbage while much is applied, and else. All that a worker makes of a large
 * configuration outlives the collections that come meanwhile, and each moves in one go what was made since the one before:
 * - Young objects are collected when they take a tenth of their room instead of four fifths: 1 ms at a time in a worker
 *   instead of 2.6, and twice as long by the byte.
 * - They are also while old ones are being marked; otherwise those that gather until that is over are moved in its last
 *   step: with what the next one spares, that takes 4 ms instead of 8.
 * - What is old is not moved together in that step, but where a thread is idle.
 */
const shortFlags = "--minor-gc-task-trigger=10 --no-separate-gc-phases --gc-experiment-less-compaction";
const usualFlags = "--minor-gc-task-trigger=80 --separate-gc-phases --no-gc-experiment-less-compaction";
/** One thread that marks beside a worker is enough for its heap; three together keep it from the cores that it works on. */
const markerFlags = "--concurrent-marking-max-worker-num=1";

/** For tests: a V8 that does not know one says so on stderr, and works as if it had not been told. */
export const collectorFlags: readonly string[] = [shortFlags, usualFlags, markerFlags].flatMap((all) => all.split(" "));

/** What was replaced becomes garbage, and is collected, in the seconds after. */
const lingerMs = 5_000;

/** For all threads of the process that are started after it. */
export function limitMarkers(): void {
  setFlagsFromString(markerFlags);
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
