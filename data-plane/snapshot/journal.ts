interface Undoable {
  undo(key: unknown, former: unknown): void;
}

/** What there was not. */
const absent = Symbol("absent");

/** What was changed in maps since the last commit, so that all of it can be taken back. */
export class Journal {
  /** In threes: the map, the key, and what was there. */
  readonly #log: unknown[] = [];
  readonly #onEnd: ((isCommitted: boolean) => void)[] = [];

  note(map: Undoable, key: unknown, former: unknown): void {
    this.#log.push(map, key, former);
  }

  /** @param end called after each commit, and after each rollback */
  onEnd(end: (isCommitted: boolean) => void): void {
    this.#onEnd.push(end);
  }

  commit(): void {
    this.#log.length = 0;
    for (const end of this.#onEnd) end(true);
  }

  rollBack(): void {
    for (let at = this.#log.length - 3; at >= 0; at -= 3) {
      (this.#log[at] as Undoable).undo(this.#log[at + 1], this.#log[at + 2]);
    }
    this.#log.length = 0;
    for (const end of this.#onEnd) end(false);
  }
}

/** A map whose changes are in a journal. Its order means nothing. */
export class JournaledMap<K, V> implements Undoable {
  readonly #journal: Journal;
  readonly #map = new Map<K, V>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  values(): Iterable<V> {
    return this.#map.values();
  }

  set(key: K, value: V): void {
    this.#journal.note(this, key, this.#map.has(key) ? this.#map.get(key) : absent);
    this.#map.set(key, value);
  }

  delete(key: K): void {
    if (!this.#map.has(key)) return;
    this.#journal.note(this, key, this.#map.get(key));
    this.#map.delete(key);
  }

  undo(key: K, former: V | typeof absent): void {
    if (former === absent) this.#map.delete(key);
    else this.#map.set(key, former as V);
  }
}

/** Who refers to what, by ids; its changes are in a journal. */
export class Dependents {
  readonly #journal: Journal;
  /** Most have one: that needs no set. */
  readonly #byKey = new Map<string, string | Set<string>>();
  readonly #added: Undoable = { undo: (key, id) => this.#remove(key as string, id as string) };
  readonly #removed: Undoable = { undo: (key, id) => this.#add(key as string, id as string) };

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Those of a key, in no order that means anything. */
  of(key: string): Iterable<string> {
    const ids = this.#byKey.get(key);
    return ids === undefined ? [] : typeof ids === "string" ? [ids] : ids;
  }

  countOf(key: string): number {
    const ids = this.#byKey.get(key);
    return ids === undefined ? 0 : typeof ids === "string" ? 1 : ids.size;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  add(key: string, id: string): void {
    if (this.#add(key, id)) this.#journal.note(this.#added, key, id);
  }

  remove(key: string, id: string): void {
    if (this.#remove(key, id)) this.#journal.note(this.#removed, key, id);
  }

  #add(key: string, id: string): boolean {
    const ids = this.#byKey.get(key);
    if (ids === id || (ids instanceof Set && ids.has(id))) return false;
    if (ids === undefined) this.#byKey.set(key, id);
    else if (typeof ids === "string") this.#byKey.set(key, new Set([ids, id]));
    else ids.add(id);
    return true;
  }

  #remove(key: string, id: string): boolean {
    const ids = this.#byKey.get(key);
    if (typeof ids === "string") return ids === id && this.#byKey.delete(key);
    if (ids === undefined || !ids.delete(id)) return false;
    if (ids.size === 0) this.#byKey.delete(key);
    return true;
  }
}

/** Slots by keys, small numbers that are given out anew; its changes are in a journal. */
export class SlotTable {
  readonly #slots: JournaledMap<string, number>;
  #next = 0;
  #free: number[] = [];
  /** Since the last commit. */
  #taken: number[] = [];
  #left: number[] = [];

  constructor(journal: Journal) {
    this.#slots = new JournaledMap(journal);
    journal.onEnd((isCommitted) => {
      this.#free.push(...(isCommitted ? this.#left : this.#taken));
      this.#taken = [];
      this.#left = [];
    });
  }

  /** The slot of a key; -1 for none. */
  get(key: string): number {
    return this.#slots.get(key) ?? -1;
  }

  /** The slot of a key, which it keeps until it is given back. */
  take(key: string): number {
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#free.pop() ?? this.#next++;
    this.#taken.push(slot);
    this.#slots.set(key, slot);
    return slot;
  }

  /** Nobody else gets it before the next commit: until then it is said of it that it is empty. */
  giveBack(key: string): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#left.push(slot);
  }
}
