interface Entry<T> {
  readonly item: T;
  readonly atMs: number;
}

/** What is due when, the earliest first. Cost: O(log n) for each that is put in or taken out. */
export class DueHeap<T> {
  readonly #entries: Entry<T>[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** When the earliest is due; null for none. */
  get nextAtMs(): number | null {
    return this.#entries[0]?.atMs ?? null;
  }

  push(item: T, atMs: number): void {
    const entries = this.#entries;
    const entry = { item, atMs };
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (entries[parent]!.atMs <= atMs) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  /** The earliest, if it is due by now. */
  takeDue(nowMs: number): T | null {
    const entries = this.#entries;
    const first = entries[0];
    if (first === undefined || first.atMs > nowMs) return null;
    const last = entries.pop()!;
    if (entries.length > 0) this.#sink(last);
    return first.item;
  }

  /** Puts an entry at the top and lets it sink to its place. */
  #sink(entry: Entry<T>): void {
    const entries = this.#entries;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && entries[child + 1]!.atMs < entries[child]!.atMs) child++;
      if (entries[child]!.atMs >= entry.atMs) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = entry;
  }
}
