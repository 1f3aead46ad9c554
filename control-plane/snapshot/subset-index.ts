import type { StoredKind } from "../resource/checked.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import { untilDone } from "../steps/until-done.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { isOfKind, SNAPSHOT_KINDS } from "./build-snapshot.ts";
import type { PublishedSource } from "./channel.ts";
import { type ConditionId, EVERYWHERE, LabelMatcher, NOWHERE, NodeConditions } from "./node-conditions.ts";
import { type SubsetEntry, SubsetGraph, type SubsetTables } from "./subset-graph.ts";

/** A resource that changed, or is on other nodes than before. */
export interface SubsetChange {
  readonly kind: StoredKind;
  readonly id: string;
  readonly before: ConditionId;
  readonly after: ConditionId;
}

interface Compared {
  readonly gone: SubsetEntry[];
  readonly changed: SubsetEntry[];
}

interface JournalEntry {
  readonly publication: number;
  readonly changes: readonly SubsetChange[];
}

/** Resources that are compared in one step; some 0.1 ms. */
const COMPARED_PER_STEP = 256;
/** Changes remembered for those who are behind; some 100 bytes each. */
const JOURNAL_MAX_COUNT = 100_000;
/** Publications that they are of. */
const JOURNAL_MAX_LENGTH = 10_000;
/** Conditions that nobody has any more may be so many, and ten for each resource with a selector. */
const CONDITIONS_SPARE_COUNT = 10_000;

/**
 * Which nodes get which resources of a source, by their labels; brought up to date by comparing with the source.
 * Without any selector every node gets everything.
 *
 * Cost: 2 ms to compare 20,000 resources, and some microseconds for each that changed, however many subsets there are;
 * some 20 us for each of all when the first selector comes, and when conditions are numbered anew.
 */
export class SubsetIndex {
  readonly #source: PublishedSource;
  readonly #tables: SubsetTables = new Map(SNAPSHOT_KINDS.map((kind) => [kind, new Map<string, SubsetEntry>()]));
  #conditions = new NodeConditions();
  /** null while no resource has a selector. */
  #graph: SubsetGraph | null = null;
  /** How many resources have it, by its number. */
  readonly #selectorUses = new Map<number, number>();
  #selectorsVersion = 0;
  #publication = -1;
  #revision = -1;
  /** What this update changes, and where it was before. */
  readonly #touched = new Map<SubsetEntry, ConditionId>();
  #journal: JournalEntry[] = [];
  #journalCount = 0;
  /** The publication from which on the journal has every change. */
  #journalStart = -1;

  constructor(source: PublishedSource) {
    this.#source = source;
  }

  /** Whether the source holds something back. */
  get isHolding(): boolean {
    return this.#source.isHolding === true;
  }

  /** Of the state that it is up to date with. */
  get publication(): number {
    return this.#publication;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Another number once there are other selectors than before. */
  get selectorsVersion(): number {
    return this.#selectorsVersion;
  }

  /** Another one once conditions have got other numbers than before. */
  get conditions(): NodeConditions {
    return this.#conditions;
  }

  entries(kind: StoredKind): Iterable<SubsetEntry> {
    return this.#tables.get(kind)?.values() ?? [];
  }

  entry(kind: StoredKind, id: string): SubsetEntry | undefined {
    return this.#tables.get(kind)?.get(id);
  }

  /** Those that refer to a resource by its id; null where that would take a look at all. */
  referrers(kind: StoredKind, id: string): Iterable<SubsetEntry> | null {
    return this.#graph?.referrers(kind, id) ?? null;
  }

  /** Says of labels what their nodes get; as long as conditions keep their numbers. */
  matcher(labels: NodeLabels): LabelMatcher {
    return new LabelMatcher(this.#conditions, labels);
  }

  /** One text for all labels that the same selectors match. */
  subsetOf(matcher: LabelMatcher): string {
    return [...this.#selectorUses.keys()]
      .filter((selector) => matcher.matches(selector))
      .sort()
      .join();
  }

  /** What changed after a publication; null when that is not known any more. */
  changesSince(publication: number): Iterable<SubsetChange> | null {
    return publication < this.#journalStart ? null : this.#changesAfter(publication);
  }

  /** Takes over the source's state of this moment. */
  update(): void {
    untilDone(this.updateSteps());
  }

  /**
   * The same in steps, of which the first reads the source and does nothing else: what comes there later is for the next
   * update. Nothing is to be asked between two of them, and all are to be taken before others are begun. After one that
   * throws, the next update begins from scratch.
   */
  *updateSteps(): Generator<void, void> {
    const { publication, revision } = this.#source.image;
    const isSame = publication === this.#publication;
    const listed = isSame ? [] : SNAPSHOT_KINDS.map((kind) => [...this.#source.image.all(kind)]);
    yield;
    if (isSame) return;
    this.#touched.clear();
    const isFirst = this.#publication === -1;
    this.#publication = -1;
    const { gone, changed } = yield* this.#compare(listed);
    const isNewCount = isFirst || this.#hasTooManyConditions();
    if (isNewCount) yield* this.#countAgain();
    yield* this.#place(gone, changed, isNewCount);
    this.#publication = publication;
    this.#revision = revision;
    if (isNewCount) this.#forgetJournal();
    else this.#remember([...this.#touched].map(([entry, before]) => this.#changeOf(entry, before)));
  }

  *#changesAfter(publication: number): Iterable<SubsetChange> {
    for (let i = this.#journal.length - 1; i >= 0 && this.#journal[i]!.publication > publication; i--)
      yield* this.#journal[i]!.changes;
  }

  /** @param listed all resources of each kind */
  *#compare(listed: readonly (readonly StoredResource[])[]): Generator<void, Compared> {
    const gone: SubsetEntry[] = [];
    const changed: SubsetEntry[] = [];
    let count = 0;
    for (const [i, kind] of SNAPSHOT_KINDS.entries()) {
      const table = this.#tables.get(kind)!;
      let knownCount = 0;
      const knownBefore = table.size;
      for (const stored of listed[i]!) {
        if (++count % COMPARED_PER_STEP === 0) yield;
        let entry = table.get(stored.id);
        if (entry !== undefined) knownCount++;
        if (entry?.stored.body === stored.body) continue;
        if (entry === undefined) {
          entry = { stored, condition: NOWHERE, links: null };
          table.set(stored.id, entry);
        } else this.#count(entry.stored, -1);
        this.#touch(entry);
        entry.stored = stored;
        this.#count(stored, 1);
        changed.push(entry);
      }
      if (knownCount === knownBefore) continue;
      const there = new Set(listed[i]!.map(({ id }) => id));
      for (const [id, entry] of table) {
        if (++count % COMPARED_PER_STEP === 0) yield;
        if (there.has(id)) continue;
        this.#touch(entry);
        table.delete(id);
        this.#count(entry.stored, -1);
        gone.push(entry);
      }
    }
    return { gone, changed };
  }

  /** Works out which nodes get what. */
  *#place(gone: readonly SubsetEntry[], changed: readonly SubsetEntry[], isNewCount: boolean): Generator<void, void> {
    if (this.#selectorUses.size > 0) {
      if (this.#graph === null) {
        this.#graph = new SubsetGraph(this.#tables, this.#conditions, (entry) => this.#touch(entry));
        yield* this.#graph.buildSteps();
      } else yield* this.#graph.updateSteps(gone, changed);
      return;
    }
    // What was numbered anew is nowhere so far.
    if (this.#graph === null && !isNewCount) yield* this.#placeEverywhere(changed);
    else for (const table of this.#tables.values()) yield* this.#placeEverywhere(table.values());
    this.#graph = null;
  }

  *#placeEverywhere(entries: Iterable<SubsetEntry>): Generator<void, void> {
    let count = 0;
    for (const entry of entries) {
      if (++count % COMPARED_PER_STEP === 0) yield;
      if (entry.condition === EVERYWHERE) continue;
      this.#touch(entry);
      entry.condition = EVERYWHERE;
    }
  }

  /** Before an entry changes, or its condition. */
  #touch(entry: SubsetEntry): void {
    if (!this.#touched.has(entry)) this.#touched.set(entry, entry.condition);
  }

  #changeOf(entry: SubsetEntry, before: ConditionId): SubsetChange {
    const { kind, id } = entry.stored;
    const isThere = this.#tables.get(kind)!.get(id) === entry;
    return { kind, id, before, after: isThere ? entry.condition : NOWHERE };
  }

  #remember(changes: readonly SubsetChange[]): void {
    this.#journal.push({ publication: this.#publication, changes });
    this.#journalCount += changes.length;
    while (this.#journalCount > JOURNAL_MAX_COUNT || this.#journal.length > JOURNAL_MAX_LENGTH) {
      const oldest = this.#journal.shift()!;
      this.#journalCount -= oldest.changes.length;
      this.#journalStart = oldest.publication;
    }
  }

  #forgetJournal(): void {
    this.#journal = [];
    this.#journalCount = 0;
    this.#journalStart = this.#publication;
  }

  #hasTooManyConditions(): boolean {
    let usedCount = 0;
    for (const count of this.#selectorUses.values()) usedCount += count;
    return this.#conditions.size > CONDITIONS_SPARE_COUNT + 10 * usedCount;
  }

  /** Numbers all conditions anew: without those that nobody has any more. */
  *#countAgain(): Generator<void, void> {
    this.#conditions = new NodeConditions();
    this.#selectorUses.clear();
    this.#selectorsVersion++;
    this.#graph = null;
    let count = 0;
    for (const table of this.#tables.values()) {
      for (const entry of table.values()) {
        if (++count % COMPARED_PER_STEP === 0) yield;
        entry.condition = NOWHERE;
        this.#count(entry.stored, 1);
      }
    }
  }

  /** Counts the selector of a resource that comes or goes. */
  #count(stored: StoredResource, step: 1 | -1): void {
    const number = this.#conditions.selectorNumber(selectorOf(stored));
    if (number === null) return;
    const count = (this.#selectorUses.get(number) ?? 0) + step;
    if (count === 0) this.#selectorUses.delete(number);
    else this.#selectorUses.set(number, count);
    if (count === 0 || (count === 1 && step === 1)) this.#selectorsVersion++;
  }
}

function selectorOf(stored: StoredResource): readonly string[] {
  if (isOfKind(stored, "route") || isOfKind(stored, "service") || isOfKind(stored, "upstream"))
    return stored.message.nodeSelector ?? [];
  return [];
}
