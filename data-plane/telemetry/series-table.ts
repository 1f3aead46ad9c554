/** Counts of several series at one moment, to be sent to another thread. */
export interface SeriesCounts {
  /** The label values of one series after the other. */
  readonly labels: readonly string[];
  /** The cells of one series after the other. */
  readonly cells: Float64Array;
}

/** The label values of the series that counts what has none of its own. */
export const otherSeries = "other";

/**
 * Counts of a bounded number of series in one typed array. What comes when all are taken is counted in a series
 * "other": nobody who can make routes or targets can fill the memory of this node or of those who scrape it.
 * A series keeps its counts as long as its key is the same, whatever its labels then say.
 */
export class SeriesTable {
  /** The cells of all series; replaced when it grows, so it is read anew for each count. */
  cells: Float64Array;
  readonly #cellCount: number;
  readonly #labelCount: number;
  readonly #seriesMax: number;
  readonly #offsetByKey = new Map<string, number>();
  readonly #labels: string[];
  /** By series: the last generation in which it was asked for. */
  readonly #seenIn: number[] = [0];
  readonly #free: number[] = [];
  /** Series that the cells have room for and that were ever used. */
  #count = 1;
  #evictedIn = -1;

  /** @param seriesMax beside "other" */
  constructor(cellCount: number, labelCount: number, seriesMax: number) {
    this.#cellCount = cellCount;
    this.#labelCount = labelCount;
    this.#seriesMax = seriesMax;
    this.#labels = Array<string>(labelCount).fill(otherSeries);
    this.cells = new Float64Array(8 * cellCount);
  }

  /** Taken series, without "other". */
  get size(): number {
    return this.#offsetByKey.size;
  }

  /**
   * Where the cells of a series begin. When all are taken, the ones that nobody asked for since `generation` began
   * make room, once in a generation: offsets from before are then no longer valid.
   * @returns 0, the cells of "other", when there is no room
   */
  offsetOf(key: string, labels: readonly string[], generation: number): number {
    const offset = this.#offsetByKey.get(key) ?? this.#take(key, generation);
    if (offset === 0) return 0;
    const index = offset / this.#cellCount;
    this.#seenIn[index] = generation;
    for (let i = 0; i < this.#labelCount; i++) this.#labels[index * this.#labelCount + i] = labels[i]!;
    return offset;
  }

  /** A copy of everything. */
  read(): SeriesCounts {
    return { labels: this.#labels, cells: this.cells.slice(0, this.#count * this.#cellCount) };
  }

  #take(key: string, generation: number): number {
    if (this.#offsetByKey.size >= this.#seriesMax) this.#evict(generation);
    if (this.#offsetByKey.size >= this.#seriesMax) return 0;
    const index = this.#free.pop() ?? this.#count++;
    const offset = index * this.#cellCount;
    if (offset + this.#cellCount > this.cells.length) {
      const grown = new Float64Array(2 * this.cells.length);
      grown.set(this.cells);
      this.cells = grown;
    }
    this.#offsetByKey.set(key, offset);
    return offset;
  }

  /** What the leaving ones counted goes to "other", so that sums over all series never fall. */
  #evict(generation: number): void {
    if (this.#evictedIn === generation) return;
    this.#evictedIn = generation;
    for (const [key, offset] of this.#offsetByKey) {
      const index = offset / this.#cellCount;
      if (this.#seenIn[index]! >= generation) continue;
      this.#offsetByKey.delete(key);
      this.#free.push(index);
      for (let i = 0; i < this.#cellCount; i++) {
        this.cells[i]! += this.cells[offset + i]!;
        this.cells[offset + i] = 0;
      }
      for (let i = 0; i < this.#labelCount; i++) this.#labels[index * this.#labelCount + i] = otherSeries;
    }
  }
}

/** The sum of counts from several threads, as many series as there may be; the rest in "other". */
export class SeriesTotals {
  readonly #cellCount: number;
  readonly #labelCount: number;
  readonly #seriesMax: number;
  readonly #byLabels = new Map<string, { readonly labels: readonly string[]; readonly cells: Float64Array }>();

  constructor(cellCount: number, labelCount: number, seriesMax: number) {
    this.#cellCount = cellCount;
    this.#labelCount = labelCount;
    this.#seriesMax = seriesMax;
  }

  add({ labels, cells }: SeriesCounts): void {
    const count = Math.trunc(cells.length / this.#cellCount);
    for (let index = 0; index < count; index++) {
      const offset = index * this.#cellCount;
      const own = cells.subarray(offset, offset + this.#cellCount);
      const sums = this.#cellsOf(labels.slice(index * this.#labelCount, (index + 1) * this.#labelCount));
      for (let i = 0; i < own.length; i++) sums[i]! += own[i]!;
    }
  }

  /** Every series in which anything was counted. */
  *entries(): Iterable<{ readonly labels: readonly string[]; readonly cells: Float64Array }> {
    for (const series of this.#byLabels.values()) if (series.cells.some((cell) => cell !== 0)) yield series;
  }

  /** As another thread would send it. */
  read(): SeriesCounts {
    const all = [...this.entries()];
    const cells = new Float64Array(all.length * this.#cellCount);
    for (const [index, series] of all.entries()) cells.set(series.cells, index * this.#cellCount);
    return { labels: all.flatMap(({ labels }) => labels), cells };
  }

  #cellsOf(labels: readonly string[]): Float64Array {
    const key = labels.join("\0");
    const known = this.#byLabels.get(key);
    if (known !== undefined) return known.cells;
    const others = Array<string>(this.#labelCount).fill(otherSeries);
    const otherKey = others.join("\0");
    if (key !== otherKey && this.#byLabels.size - Number(this.#byLabels.has(otherKey)) >= this.#seriesMax) {
      return this.#cellsOf(others);
    }
    const cells = new Float64Array(this.#cellCount);
    this.#byLabels.set(key, { labels, cells });
    return cells;
  }
}
