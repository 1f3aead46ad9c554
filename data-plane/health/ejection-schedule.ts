/** When ejected endpoints are tried again. */
export interface EjectionTimes {
  /** From the ejection to the first probe. */
  readonly baseEjectionMs: number;
  /** The longest that an endpoint is left alone between two probes. */
  readonly maxEjectionMs: number;
}

export const defaultEjectionTimes: EjectionTimes = { baseEjectionMs: 500, maxEjectionMs: 10_000 };

/** From the first failed probe to the second, unless the ejection itself is longer. */
const probeIntervalMs = 1_000;
/** By how much each further interval is longer than the one before. */
const intervalGrowth = 1.5;
/**
 * By how much each ejection is longer than the one before it, where the endpoint has been back for less than a minute:
 * what comes and goes every second should change at most once in five.
 */
const ejectionGrowth = 10;
const forgetAfterMs = 60_000;
/** Whoever asks to be left alone for longer may be overlooked for good. */
const retryAfterMaxMs = 60_000;

interface Ejected {
  readonly times: EjectionTimes;
  readonly cause: string;
  dueAtMs: number;
  /** Until the probe after the next one, before jitter. */
  nextIntervalMs: number;
  /** A probe or a trial is under way. */
  isProbing: boolean;
  /** Probes in a row that still have to succeed. */
  successesLeft: number;
}

/** How often an endpoint was ejected lately. */
interface Past {
  count: number;
  backAtMs: number;
}

/**
 * Which ejected endpoints, known by their rows, are to be probed when: soon at first, then ever more rarely.
 * Knows no clock and no randomness: both are arguments (`random` in [0, 1) moves a time by a tenth at most, so
 * that nodes and endpoints that failed together are not probed together).
 */
export class EjectionSchedule {
  readonly #byRow = new Map<number, Ejected>();
  readonly #past = new Map<number, Past>();

  get size(): number {
    return this.#byRow.size;
  }

  has(row: number): boolean {
    return this.#byRow.has(row);
  }

  /** Why the endpoint is out; "" when it is not. */
  causeOf(row: number): string {
    return this.#byRow.get(row)?.cause ?? "";
  }

  /**
   * An endpoint was taken out; false when that was known, and its schedule stands.
   * @param how.retryAfterMs what the endpoint asked for; 0 = nothing
   */
  eject(
    row: number,
    how: { readonly times: EjectionTimes; readonly cause: string; readonly retryAfterMs: number },
    nowMs: number,
    random: number,
  ): boolean {
    if (this.#byRow.has(row)) return false;
    const { times, cause, retryAfterMs } = how;
    const countBefore = this.#countBefore(row, nowMs);
    const grownMs = times.baseEjectionMs * ejectionGrowth ** countBefore;
    const delayMs = Math.max(Math.min(grownMs, times.maxEjectionMs), Math.min(retryAfterMs, retryAfterMaxMs));
    const nextIntervalMs = Math.min(Math.max(probeIntervalMs, times.baseEjectionMs), times.maxEjectionMs);
    this.#byRow.set(row, {
      ...{ times, cause, nextIntervalMs, isProbing: false, successesLeft: successesFor(countBefore) },
      dueAtMs: nowMs + jittered(delayMs, random),
    });
    return true;
  }

  #countBefore(row: number, nowMs: number): number {
    const past = this.#past.get(row);
    if (past === undefined) return 0;
    if (nowMs - past.backAtMs < forgetAfterMs) return past.count;
    this.#past.delete(row);
    return 0;
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

  /** The probe succeeded. @returns whether that is enough; if not, the next one comes in a second */
  probeSucceeded(row: number, nowMs: number, random: number): boolean {
    const ejected = this.#byRow.get(row);
    if (ejected === undefined || --ejected.successesLeft <= 0) return true;
    ejected.isProbing = false;
    ejected.dueAtMs = nowMs + jittered(probeIntervalMs, random);
    return false;
  }

  /** The probe failed: the endpoint stays out, and the next probe comes later than this one did. */
  probeFailed(row: number, nowMs: number, random: number): void {
    const ejected = this.#byRow.get(row);
    if (ejected === undefined) return;
    ejected.isProbing = false;
    ejected.successesLeft = successesFor(this.#countBefore(row, nowMs));
    ejected.dueAtMs = nowMs + jittered(ejected.nextIntervalMs, random);
    ejected.nextIntervalMs = Math.min(ejected.nextIntervalMs * intervalGrowth, ejected.times.maxEjectionMs);
  }

  /** The endpoint is back; false when it was not known to be out. */
  back(row: number, nowMs: number): boolean {
    if (!this.#byRow.delete(row)) return false;
    this.#past.set(row, { count: this.#countBefore(row, nowMs) + 1, backAtMs: nowMs });
    return true;
  }

  /** The endpoint is gone, and its row may be another's next time. */
  remove(row: number): void {
    this.#byRow.delete(row);
    this.#past.delete(row);
  }

  /** What was long ago is forgotten. */
  forgetPast(nowMs: number): void {
    for (const row of [...this.#past.keys()]) this.#countBefore(row, nowMs);
  }

  /** The rows that are out. */
  rows(): number[] {
    return [...this.#byRow.keys()];
  }
}

/** What comes and goes has to be there twice, a second apart. */
function successesFor(countBefore: number): number {
  return countBefore === 0 ? 1 : 2;
}

function jittered(delayMs: number, random: number): number {
  return delayMs * (0.9 + 0.2 * random);
}
