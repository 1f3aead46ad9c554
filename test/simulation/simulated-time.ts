/** A source of chances that gives the same ones again for the same seed. 0 <= random() < 1. */
export type Random = () => number;

/** Source: mulberry32 (Tommy Ettinger, public domain): small, and good enough to spread events. */
export function seededRandom(seed: number): Random {
  let state = (seed + 0x6d2b79f5) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface SimulatedEvent {
  readonly atMs: number;
  /** Of two at the same time the one that was planned first comes first. */
  readonly order: number;
  readonly run: () => void;
  isCancelled: boolean;
}

/** Fits wherever either plane asks for a `Clock`. */
export interface SimulatedClock {
  monotonicMs(): number;
  unixMs(): number;
  after(delayMs: number, run: () => void): () => void;
  at(atMs: number, run: () => void): () => void;
}

/** A process: when it is killed, none of its timers runs any more. */
export interface SimulatedProcess {
  readonly clock: SimulatedClock;
  readonly isAlive: boolean;
  kill(): void;
}

/** Time that passes from event to event. Between two, everything that waits on a promise goes on as far as it can. */
export class SimulatedTime {
  nowMs = 0;
  /** What somebody has set the clocks on the walls to; no interval depends on it. */
  wallOffsetMs = 0;
  #eventCount = 0;
  /** A binary heap, the next event first. */
  readonly #heap: SimulatedEvent[] = [];

  after(delayMs: number, run: () => void): () => void {
    return this.at(this.nowMs + Math.max(0, delayMs), run);
  }

  /**
   * At a moment of `monotonicMs`, or now if that is past. What has to stay in order is planned with this one: the same
   * moment as delays from two others comes out as two, by a rounding, and those in either order.
   */
  at(atMs: number, run: () => void): () => void {
    const event = { atMs: Math.max(this.nowMs, atMs), order: this.#eventCount++, run, isCancelled: false };
    this.#push(event);
    return () => {
      event.isCancelled = true;
    };
  }

  startProcess(): SimulatedProcess {
    let isAlive = true;
    const whileAlive = (run: () => void) => () => (isAlive ? run() : undefined);
    const clock: SimulatedClock = {
      monotonicMs: () => this.nowMs,
      unixMs: () => 1_700_000_000_000 + Math.floor(this.nowMs + this.wallOffsetMs),
      after: (delayMs, run) => this.after(delayMs, whileAlive(run)),
      at: (atMs, run) => this.at(atMs, whileAlive(run)),
    };
    return {
      clock,
      get isAlive() {
        return isAlive;
      },
      kill() {
        isAlive = false;
      },
    };
  }

  /** @param afterEach looks at the world after each event */
  async runUntil(endMs: number, afterEach: () => void): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= endMs) {
      const event = this.#pop();
      if (event.isCancelled) continue;
      this.nowMs = event.atMs;
      event.run();
      // Node runs every promise that can go on before it comes to this.
      await new Promise((resolve) => setImmediate(resolve));
      afterEach();
    }
    this.nowMs = endMs;
  }

  #push(event: SimulatedEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #pop(): SimulatedEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2])
        if (child < heap.length && isBefore(heap[child]!, heap[least]!)) least = child;
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least]!, heap[at]!];
      at = least;
    }
  }
}

function isBefore(left: SimulatedEvent, right: SimulatedEvent): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}
