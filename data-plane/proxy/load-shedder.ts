/** What a shedder goes by. */
export interface ShedThresholds {
  /** Lag of the event loop that is too much when it does not go down for a second. */
  readonly lagMs: number;
  /** How often `turned` is to be called, by a timer of the loop that is judged. */
  readonly tickMs: number;
}

/** The lag has to stay so long, and to be seen so often, before anything is refused. */
const standingMs = 1_000;
const standingMinCount = 3;
/** Without a turn that was too long for that time, the overload is over. */
const calmMs = 3_000;
/** A turn that was short enough could have taken more: so much more is tried with the next, or so much when it rested. */
const growth = 1.25;
const growthOfRest = 2;
/** After one that was too long the next takes less, by so much at most. */
const leastShrink = 0.5;

/**
 * Decides which new requests of a worker are refused because it has too much to do. Too much is a lag of the event
 * loop that at no moment of a second was below the threshold, as in CoDel a queue that stands: a single pause (garbage,
 * a new configuration) is not, however long. From then on each turn of the loop takes requests for half the threshold
 * and refuses the others that it finds; those came last, and have waited shortest. So there is no share that would have
 * to be found, and none that could swing: a turn is as long as it may be, what can be done is done, and the first turn
 * that is short enough refuses nothing. Where requests cost most after they were taken (large bodies), turns stay too
 * long all the same: then their number is limited too. What refusing costs does not count: fewer would not help.
 *
 * A turn can be very long: the loop goes on reading sockets, without a timer in between, while it finds 1,024 of
 * them ready (libuv, up to 48 times). So the requests of a turn show the lag as well as its end does.
 *
 * Memory adds a share of its own.
 *
 * Pure: time comes in. Cost for a request: one comparison while nothing is shed.
 * Source: Nichols and Jacobson, Controlling Queue Delay, 2012; Maurer, Fail at Scale, 2015.
 */
export class LoadShedder {
  /** A request that starts then or later has to ask `refuses`. Read by every request. */
  asksFromMs = Number.POSITIVE_INFINITY;
  readonly #lagMs: number;
  readonly #tickMs: number;
  /** How long a turn takes requests while there is too much to do. */
  readonly #takesMs: number;
  #isShedding = false;
  /** When `turned` is called next, if the loop does not lag. */
  #dueAtMs = Number.POSITIVE_INFINITY;
  /** How often the lag was too much since it was not, when first, and when last. */
  #lateCount = 0;
  #lateSinceMs = 0;
  #lateAtMs = 0;
  /** The last end of a turn that was too long. */
  #longAtMs = 0;
  /** When a request shows that the loop lags; while it sheds, from when on the turn takes none. */
  #lateFromMs = Number.POSITIVE_INFINITY;
  /** How many requests fit into a turn, as far as is known. */
  #fitting = 0;
  /** Whether a turn takes no more than those, though it has time. */
  #isNumberLimited = false;
  #roomCount = Number.POSITIVE_INFINITY;
  /** Of the turn under way, once requests ask. */
  #takenCount = 0;
  #refusedCount = 0;
  #refusedMs = 0;
  #isOutOfTime = false;
  /** It was shedding from the beginning of the turn on. */
  #isTurnLimited = false;
  #memoryRatio = 0;
  /** Parts of requests that are still to be refused for memory: makes the share exact without randomness. */
  #owed = 0;

  constructor({ lagMs, tickMs }: ShedThresholds) {
    this.#lagMs = lagMs;
    this.#tickMs = tickMs;
    this.#takesMs = lagMs / 2;
  }

  /** Whether the worker has too much to do. Turns that are short enough refuse nothing all the same. */
  get isShedding(): boolean {
    return this.#isShedding;
  }

  /** How many requests the turn that begins can take beside those that come by themselves. */
  get roomCount(): number {
    return this.#memoryRatio > 0 ? 0 : this.#roomCount;
  }

  /** The share that is refused for want of memory, 0 to 1. */
  get memoryRatio(): number {
    return this.#memoryRatio;
  }

  set memoryRatio(ratio: number) {
    this.#memoryRatio = ratio;
    if (ratio === 0) this.#owed = 0;
    this.#update();
  }

  /**
   * The loop has come round to its timers.
   * @param invitedCount requests of the turn before that came because of `roomCount`
   */
  turned(nowMs: number, invitedCount = 0): void {
    const lagMs = nowMs - this.#dueAtMs;
    this.#dueAtMs = nowMs + this.#tickMs;
    if (this.#isShedding) this.#reviewTurn(nowMs, lagMs, invitedCount);
    else if (lagMs > this.#lagMs) this.#late(nowMs);
    // One short turn between two long ones is not a queue that has gone.
    else if (nowMs - this.#lateAtMs > this.#lagMs) this.#lateCount = 0;
    this.#isTurnLimited = this.#isShedding;
    this.#takenCount = 0;
    this.#refusedCount = 0;
    this.#refusedMs = 0;
    this.#isOutOfTime = false;
    this.#lateFromMs = this.#dueAtMs + this.#lagMs;
    this.#update();
  }

  #reviewTurn(nowMs: number, lagMs: number, invitedCount: number): void {
    if (lagMs > this.#takesMs) this.#longAtMs = nowMs;
    else if (nowMs - this.#longAtMs >= calmMs) {
      this.#isShedding = false;
      this.#roomCount = Number.POSITIVE_INFINITY;
      return;
    }
    if (!this.#isTurnLimited) return;
    const asked = this.#takenCount + this.#refusedCount;
    const workLagMs = lagMs - this.#refusedMs;
    const most = Math.max(this.#fitting, this.#takenCount);
    if (workLagMs > this.#lagMs) {
      this.#fitting = Math.ceil(most * Math.max(leastShrink, this.#lagMs / workLagMs));
      this.#isNumberLimited = most > 0;
    } else if (this.#isOutOfTime) {
      this.#fitting = this.#takenCount;
      this.#isNumberLimited = false;
    } else {
      const times = lagMs < this.#takesMs / 2 ? growthOfRest : growth;
      this.#fitting = Math.max(this.#fitting, Math.ceil(this.#takenCount * times), 1);
    }
    this.#roomCount = Math.max(0, this.#fitting - Math.max(0, asked - invitedCount));
  }

  #late(nowMs: number): void {
    if (this.#lateCount === 0) this.#lateSinceMs = nowMs;
    this.#lateCount++;
    this.#lateAtMs = nowMs;
    if (this.#lateCount < standingMinCount || nowMs - this.#lateSinceMs < standingMs) return;
    this.#lateCount = 0;
    this.#isShedding = true;
    this.#longAtMs = nowMs;
    this.#fitting = 0;
    this.#isNumberLimited = false;
    this.#roomCount = 0;
  }

  #update(): void {
    const asksAlways = this.#isShedding || this.#memoryRatio > 0;
    this.asksFromMs = asksAlways ? Number.NEGATIVE_INFINITY : this.#lateFromMs;
  }

  /** Whether a request that starts now, not before `asksFromMs`, is refused. */
  refuses(nowMs: number): boolean {
    const isRefused = this.#refusesForMemory() || this.#refusesForLag(nowMs);
    if (isRefused) this.#refusedCount++;
    else this.#takenCount++;
    return isRefused;
  }

  /** @param spentMs what refusing a request has cost */
  refused(spentMs: number): void {
    this.#refusedMs += spentMs;
  }

  #refusesForMemory(): boolean {
    this.#owed += this.#memoryRatio;
    if (this.#owed < 1) return false;
    this.#owed--;
    return true;
  }

  #refusesForLag(nowMs: number): boolean {
    if (this.#isShedding) return this.#isTurnFull(nowMs);
    if (nowMs < this.#lateFromMs) return false;
    // A pause in the midst of a turn counts once: the next time is so much later than its end.
    this.#late(nowMs);
    this.#lateFromMs = nowMs + (this.#isShedding ? 0 : this.#lagMs);
    this.#update();
    return this.#isShedding;
  }

  #isTurnFull(nowMs: number): boolean {
    // What a turn does before its first request is nothing that refusing would spare: the time runs from there on.
    if (this.#takenCount === 0) this.#lateFromMs = Math.max(nowMs, this.#dueAtMs) + this.#takesMs;
    if (this.#isNumberLimited && this.#takenCount >= this.#fitting) return true;
    this.#isOutOfTime = nowMs >= this.#lateFromMs;
    return this.#isOutOfTime;
  }
}
