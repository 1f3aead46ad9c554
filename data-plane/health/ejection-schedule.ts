/** When ejected endpoints are tried again. */
export interface EjectionTimes {
  /** From the ejection to the first probe. */
  readonly firstProbeMs: number;
  /** From the first failed probe to the second. */
  readonly probeIntervalMs: number;
  /** By how much each further interval is longer than the one before. */
  readonly growthRatio: number;
  readonly probeIntervalMaxMs: number;
}

export const EJECTION_TIMES: EjectionTimes = {
  firstProbeMs: 500,
  probeIntervalMs: 1_000,
  growthRatio: 1.5,
  probeIntervalMaxMs: 10_000,
};

interface Ejected {
  dueAtMs: number;
  /** Until the probe after the next one, before jitter. */
  nextIntervalMs: number;
  isProbing: boolean;
}

/**
 * Which ejected endpoints, known by their rows, are to be probed when: soon at first, then ever more rarely.
 * Knows no clock and no randomness: both are arguments (`random` in [0, 1) moves a time by a tenth at most, so
 * that nodes and endpoints that failed together are not probed together).
 */
export class EjectionSchedule {
  readonly #times: EjectionTimes;
  readonly #byRow = new Map<number, Ejected>();

  constructor(times: EjectionTimes = EJECTION_TIMES) {
    this.#times = times;
  }

  get size(): number {
    return this.#byRow.size;
  }

  has(row: number): boolean {
    return this.#byRow.has(row);
  }

  /** An endpoint was taken out; false when that was known, and its schedule stands. */
  eject(row: number, nowMs: number, random: number): boolean {
    if (this.#byRow.has(row)) return false;
    const { firstProbeMs, probeIntervalMs } = this.#times;
    const dueAtMs = nowMs + jittered(firstProbeMs, random);
    this.#byRow.set(row, { dueAtMs, nextIntervalMs: probeIntervalMs, isProbing: false });
    return true;
  }

  /** At most `maxCount` endpoints whose probe is due; they count as being probed from now on. */
  takeDue(nowMs: number, maxCount: number): number[] {
    const due: number[] = [];
    for (const [row, ejected] of this.#byRow) {
      if (due.length >= maxCount) break;
      if (ejected.isProbing || ejected.dueAtMs > nowMs) continue;
      ejected.isProbing = true;
      due.push(row);
    }
    return due;
  }

  /** When the next probe is due; null when none is waiting. */
  nextDueAtMs(): number | null {
    let nextAtMs: number | null = null;
    for (const { isProbing, dueAtMs } of this.#byRow.values()) {
      if (!isProbing && (nextAtMs === null || dueAtMs < nextAtMs)) nextAtMs = dueAtMs;
    }
    return nextAtMs;
  }

  /** The probe failed: the endpoint stays out, and the next probe comes later than this one did. */
  probeFailed(row: number, nowMs: number, random: number): void {
    const ejected = this.#byRow.get(row);
    if (ejected === undefined) return;
    const { growthRatio, probeIntervalMaxMs } = this.#times;
    ejected.isProbing = false;
    ejected.dueAtMs = nowMs + jittered(ejected.nextIntervalMs, random);
    ejected.nextIntervalMs = Math.min(ejected.nextIntervalMs * growthRatio, probeIntervalMaxMs);
  }

  /** The probe succeeded, or the endpoint is gone; false when it was not known any more. */
  remove(row: number): boolean {
    return this.#byRow.delete(row);
  }

  /** The rows that are out. */
  rows(): number[] {
    return [...this.#byRow.keys()];
  }
}

function jittered(delayMs: number, random: number): number {
  return delayMs * (0.9 + 0.2 * random);
}
