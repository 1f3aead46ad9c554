/** Which rows of a section are taken. Freed rows are used again first, to keep the touched pages few. */
export class RowAllocator {
  readonly #kind: string;
  readonly #isTaken: Uint8Array;
  readonly #freed: number[] = [];
  #neverUsed = 0;

  constructor(kind: string, rowsMax: number) {
    this.#kind = kind;
    this.#isTaken = new Uint8Array(rowsMax);
  }

  take(): number | null {
    const row = this.#freed.pop() ?? this.#neverUsed;
    if (row >= this.#isTaken.length) return null;
    if (row === this.#neverUsed) this.#neverUsed++;
    this.#isTaken[row] = 1;
    return row;
  }

  /** Rows from this number on were never taken. */
  get everUsedCount(): number {
    return this.#neverUsed;
  }

  giveBack(row: number): void {
    if (this.#isTaken[row] !== 1) throw new Error(`${this.#kind} row ${row} is not taken`);
    this.#isTaken[row] = 0;
    this.#freed.push(row);
  }
}
