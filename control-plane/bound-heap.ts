import { PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/**
 * What new objects may take where the event loop turns; twice as much where two growths come before the first is seen. V8
 * itself goes to 134 MB, and keeps that: more than all else in the process.
 */
const YOUNG_MAX_BYTES = 32 * 1024 * 1024;

/** What old objects may take more than after the last collection of them, until the next. V8 itself goes to 300 %. */
const OLD_GROWTH_PERCENT = 40;

/** By how much V8 lets the space for new objects grow at a time; its own default. */
const GROWTH_FACTOR = 2;

/**
 * Keeps the heap of this process's main thread from taking memory that it gains little by: with 1,000 nodes and 1,000
 * changes a second half of 520 MB (`npm run prove -- thousand-nodes`). The options for that belong before Node's own
 * start, which is not ours; these work while it runs. A V8 without them says so in one line on stderr, and works as
 * before.
 *
 * There is no bound within a turn of the event loop, since the space for new objects is looked at between two of them. One
 * that makes very many objects which live lets it grow as far as V8 ever does, and it stays so: 128 MB after 800,000 in one
 * turn, where V8 left alone took 64 in two runs of three. A state that is loaded comes in parts, with turns in between
 * (start-engine.ts).
 */
export function boundHeap(): void {
  // Otherwise V8 allocates as old what it has seen to live for long, such as what a thousand nodes are sent and answer;
  // and what an old object refers to is kept until old ones are collected.
  setFlagsFromString("--no-allocation-site-pretenuring");
  setFlagsFromString(`--heap-growing-percent=${OLD_GROWTH_PERCENT}`);
  boundYoungSpace();
  // After a collection V8 may have made the space smaller, and it has to be able to grow again.
  new PerformanceObserver(boundYoungSpace).observe({ entryTypes: ["gc"] });
}

let growthFactor = GROWTH_FACTOR;

function boundYoungSpace(): void {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  // Read by V8 each time that it lets the space grow, for which this has to be a number that is not below 1.
  const factor = (young?.space_size ?? 0) >= YOUNG_MAX_BYTES ? 1 : GROWTH_FACTOR;
  if (factor !== growthFactor) setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  growthFactor = factor;
}
