/** Entries closer together than this become one. */
const RESOLUTION_MS = 1_000;
/** More than an hour of changes without a pause. */
const ENTRY_MAX_COUNT = 4_096;

interface Entry {
  readonly publication: number;
  readonly atUnixMs: number;
}

/**
 * When publications came about, so that it can be told for how long somebody has been behind. Exact to a second; what is
 * older than is remembered counts from the oldest that is.
 */
export class PublicationTimes {
  /** Ascending; the first of each second. */
  readonly #entries: Entry[] = [];
  #newest = -1;

  /** This is the newest publication now. */
  note(publication: number, nowUnixMs: number): void {
    if (publication <= this.#newest) return;
    this.#newest = publication;
    const last = this.#entries.at(-1);
    if (last !== undefined && nowUnixMs - last.atUnixMs < RESOLUTION_MS) return;
    this.#entries.push({ publication, atUnixMs: nowUnixMs });
    if (this.#entries.length > ENTRY_MAX_COUNT) this.#entries.shift();
  }

  /** When the first publication after this one came about; null when there is none. */
  behindSinceUnixMs(publication: number): number | null {
    if (publication >= this.#newest) return null;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#entries[middle]!.publication > publication) high = middle;
      else low = middle + 1;
    }
    // Behind by a publication of the second that the last entry stands for.
    return (this.#entries[low] ?? this.#entries.at(-1))?.atUnixMs ?? null;
  }
}
