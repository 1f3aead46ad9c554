const halfWindowMs = 2_500;
/** Fewer say nothing about an endpoint. */
const samplesMin = 20;
/** Fewer say nothing about the others. */
const otherSamplesMin = 5;
const outlyingBy = 0.5;

interface Counts {
  good: number;
  bad: number;
}

/**
 * Which endpoint answers badly while the others do not, judged by requests that no retry can judge: those that may not
 * be sent twice. Over the last 2.5 to 5 seconds. Knows no clock.
 *
 * Cost: a map lookup for each such request.
 */
export class StatusShares {
  #current = new Map<number, Counts>();
  #before = new Map<number, Counts>();
  #halfEndsAtMs = Number.NEGATIVE_INFINITY;

  add(row: number, isBad: boolean, nowMs: number): void {
    if (nowMs >= this.#halfEndsAtMs) this.#turn(nowMs);
    let counts = this.#current.get(row);
    if (counts === undefined) {
      counts = { good: 0, bad: 0 };
      this.#current.set(row, counts);
    }
    if (isBad) counts.bad++;
    else counts.good++;
  }

  /** Whether the endpoint's share of bad answers is 50 points above that of all others together. */
  isOutlying(row: number, nowMs: number): boolean {
    if (nowMs >= this.#halfEndsAtMs) this.#turn(nowMs);
    const own = { good: 0, bad: 0 };
    const others = { good: 0, bad: 0 };
    for (const half of [this.#before, this.#current]) {
      for (const [each, { good, bad }] of half) {
        const sum = each === row ? own : others;
        sum.good += good;
        sum.bad += bad;
      }
    }
    if (own.good + own.bad < samplesMin || others.good + others.bad < otherSamplesMin) return false;
    return shareOf(own) - shareOf(others) >= outlyingBy;
  }

  #turn(nowMs: number): void {
    const isNext = nowMs - this.#halfEndsAtMs < halfWindowMs;
    this.#before = isNext ? this.#current : new Map();
    this.#current = new Map();
    this.#halfEndsAtMs = isNext ? this.#halfEndsAtMs + halfWindowMs : nowMs + halfWindowMs;
  }
}

function shareOf({ good, bad }: Counts): number {
  return bad / (good + bad);
}
