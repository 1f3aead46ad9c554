/** Told when a deadline passes. */
export interface DeadlineOwner {
  onDeadline(): void;
}

export const tickMs = 50;
const slotCount = 4_096;

/**
 * One coarse timer for all connections of a worker. A connection moves its deadline with every message, and
 * almost none ever passes: so moving one is writing a number, and the wheel looks again only when the slot
 * that it was put into comes round.
 *
 * Cost: about 5 ns per move; a Node timer per socket costs 200 to 400.
 */
export class DeadlineWheel {
  readonly #slots: Deadline[][] = [];
  /** Ticks since the start. */
  now = 0;
  readonly #onDefect: (error: unknown) => void;

  /** @param onDefect told when an owner throws: the others' deadlines still pass */
  constructor(onDefect: (error: unknown) => void) {
    this.#onDefect = onDefect;
    for (let slot = 0; slot < slotCount; slot++) this.#slots.push([]);
  }

  /** Moves on by one tick and tells the owners whose deadline passed. */
  tick(): void {
    this.now++;
    const slot = this.#slots[this.now % slotCount]!;
    if (slot.length === 0) return;
    this.#slots[this.now % slotCount] = [];
    for (let i = 0; i < slot.length; i++) {
      try {
        slot[i]!.review(this.now);
      } catch (error) {
        this.#onDefect(error);
      }
    }
  }

  /** @internal for Deadline */
  put(deadline: Deadline, atTick: number): number {
    const tick = Math.min(atTick, this.now + slotCount - 1);
    this.#slots[tick % slotCount]!.push(deadline);
    return tick;
  }
}

/** One owner's deadline, at most one at a time. */
export class Deadline {
  readonly #wheel: DeadlineWheel;
  #owner: DeadlineOwner | null;
  /** 0: none. */
  #atTick = 0;
  /** The slot that counts; entries in other slots are left over from before. 0: in none. */
  #putAt = 0;

  constructor(wheel: DeadlineWheel, owner: DeadlineOwner) {
    this.#wheel = wheel;
    this.#owner = owner;
  }

  /** Replaces the deadline. It passes after `delayMs` and at most one tick more. */
  set(delayMs: number): void {
    const atTick = this.#wheel.now + Math.ceil(delayMs / tickMs) + 1;
    this.#atTick = atTick;
    if (this.#putAt === 0 || atTick < this.#putAt) this.#putAt = this.#wheel.put(this, atTick);
  }

  clear(): void {
    this.#atTick = 0;
  }

  /**
   * The owner is gone. The wheel keeps this small object until its slot comes round; it must not keep the
   * connection with it, or a minute of short connections would stay in memory.
   */
  release(): void {
    this.#atTick = 0;
    this.#owner = null;
  }

  /** @internal for DeadlineWheel */
  review(now: number): void {
    if (this.#putAt !== now) return;
    this.#putAt = 0;
    if (this.#atTick === 0) return;
    if (this.#atTick > now) {
      this.#putAt = this.#wheel.put(this, this.#atTick);
      return;
    }
    this.#atTick = 0;
    this.#owner?.onDeadline();
  }
}
