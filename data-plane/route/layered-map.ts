/** With more keys changed, what all of them are is written anew. */
const overMax = 256;

/**
 * A map by strings that is never changed: a change makes another one, which shares with this one all that it did not
 * touch. What was changed lies over what was there when the map was made, until that has become much.
 *
 * Cost: a lookup is one in a Map, or two after a change; an edit begins with a copy of what was changed before it.
 */
export class LayeredMap<V> {
  readonly #base: ReadonlyMap<string, V>;
  /** null for keys that are gone. */
  readonly #over: ReadonlyMap<string, V | null> | null;
  readonly size: number;

  constructor(
    base: ReadonlyMap<string, V> = new Map(),
    over: ReadonlyMap<string, V | null> | null = null,
    size: number = base.size,
  ) {
    this.#base = base;
    this.#over = over;
    this.size = size;
  }

  get(key: string): V | undefined {
    if (this.#over === null) return this.#base.get(key);
    const changed = this.#over.get(key);
    return changed === undefined ? this.#base.get(key) : (changed ?? undefined);
  }

  edit(): LayeredMapEdit<V> {
    return new LayeredMapEdit(this, this.#base, this.#over);
  }

  /** Whether so much was changed that `flatSteps` should be taken. */
  get isThick(): boolean {
    return (this.#over?.size ?? 0) > overMax;
  }

  /** The same map without layers, in steps of some 10 us. */
  *flatSteps(): Generator<void, LayeredMap<V>> {
    const flat = new Map<string, V>();
    const over = this.#over ?? new Map<string, V | null>();
    let count = 0;
    for (const [key, value] of this.#base) {
      if (!over.has(key)) flat.set(key, value);
      if (++count % 100 === 0) yield;
    }
    for (const [key, value] of over) if (value !== null) flat.set(key, value);
    return new LayeredMap(flat);
  }
}

/** What becomes another map. The one that it began from stays as it is. */
export class LayeredMapEdit<V> {
  readonly #before: LayeredMap<V>;
  readonly #base: ReadonlyMap<string, V>;
  /** What there was nothing before is written to as it is. */
  readonly #fresh: Map<string, V> | null;
  #over: Map<string, V | null> | null = null;
  readonly #overBefore: ReadonlyMap<string, V | null> | null;
  #size: number;

  constructor(before: LayeredMap<V>, base: ReadonlyMap<string, V>, over: ReadonlyMap<string, V | null> | null) {
    this.#before = before;
    this.#base = base;
    this.#overBefore = over;
    this.#fresh = before.size === 0 ? new Map() : null;
    this.#size = before.size;
  }

  get(key: string): V | undefined {
    if (this.#fresh !== null) return this.#fresh.get(key);
    const changed = this.#over?.get(key);
    return changed === undefined ? this.#before.get(key) : (changed ?? undefined);
  }

  set(key: string, value: V): void {
    if (this.get(key) === undefined) this.#size++;
    if (this.#fresh !== null) this.#fresh.set(key, value);
    else this.#ownOver().set(key, value);
  }

  delete(key: string): void {
    if (this.get(key) === undefined) return;
    this.#size--;
    if (this.#fresh !== null) this.#fresh.delete(key);
    else this.#ownOver().set(key, null);
  }

  /** Nothing may be changed any more. */
  finish(): LayeredMap<V> {
    if (this.#fresh !== null) return new LayeredMap(this.#fresh);
    return this.#over === null ? this.#before : new LayeredMap(this.#base, this.#over, this.#size);
  }

  #ownOver(): Map<string, V | null> {
    this.#over ??= new Map(this.#overBefore);
    return this.#over;
  }
}
