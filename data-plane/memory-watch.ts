import { totalmem } from "node:os";
import type { Timers } from "./upstream/timers.ts";

export interface MemoryWatchOptions {
  readonly limitBytes: number;
  /** Share of the limit from which on requests are refused. */
  readonly shedShare: number;
  readonly timers: Timers;
  /** What the process has in memory. */
  readonly residentBytes: () => number;
  /** The share of new requests to refuse, whenever it changes. */
  readonly onRatio: (ratio: number) => void;
  readonly onShort: (residentBytes: number) => void;
  readonly onRecovered: (residentBytes: number) => void;
}

const intervalMs = 250;
/** So far below the threshold memory has to fall before it counts as enough again. */
const hysteresisShare = 0.05;
/** Over so much above the threshold the share of refused requests grows from the least to all. */
const rampShare = 0.05;
const leastRatio = 0.1;

/** Watches the memory of the process. @returns what ends it */
export function watchMemory(options: MemoryWatchOptions): () => void {
  const { limitBytes, shedShare, timers } = options;
  let ratio = 0;
  let cancel = () => {};
  function look(): void {
    const resident = options.residentBytes();
    const before = ratio;
    ratio = shedRatio(resident / limitBytes, shedShare, before > 0);
    if (ratio !== before) options.onRatio(ratio);
    if (before === 0 && ratio > 0) options.onShort(resident);
    if (before > 0 && ratio === 0) options.onRecovered(resident);
    cancel = timers.after(intervalMs, look);
  }
  look();
  return () => cancel();
}

/** The share of requests to refuse with so much of the memory in use. */
export function shedRatio(usedShare: number, shedShare: number, isShedding: boolean): number {
  const isShort = usedShare > shedShare || (isShedding && usedShare > shedShare - hysteresisShare);
  if (!isShort) return 0;
  return Math.min(1, Math.max(leastRatio, (usedShare - shedShare) / rampShare));
}

/** The container's limit, or all of the machine's memory. */
export function systemMemoryLimit(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem();
}
