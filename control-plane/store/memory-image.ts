import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "./resource-image.ts";

/** A resource with what it is found by. */
export interface ImageEntry {
  readonly stored: StoredResource;
  readonly uniqueKeys: readonly string[];
  readonly references: readonly { readonly kind: StoredKind; readonly id: string }[];
}

interface KindTable {
  readonly byId: Map<string, ImageEntry>;
  readonly idByKey: Map<string, string>;
}

/** The tables of one state; held as one thing so that a whole state can be put in place of another. */
interface State {
  readonly tables: { readonly [K in StoredKind]: KindTable };
  /** Ids of the referring resources, by `referrerKey`. No empty set stays. */
  readonly referrers: Map<string, Set<string>>;
  revision: number;
  publication: number;
  bodyBytes: number;
}

/**
 * The committed state in maps that are changed in place, commit by commit.
 *
 * In place, because to copy a map of 20,000 entries costs milliseconds on each write, and every reader here is
 * synchronous: none can see a commit half applied. An iteration must therefore end in the turn of the event loop in
 * which it began (docs/decisions/0003-mutable-image.md).
 */
export class MemoryImage implements ResourceImage {
  #state: State = emptyState();
  /** What this commit has put so far. */
  #putSinceAdvance: ImageEntry[] = [];
  /** Who had keys that this commit has put others under. */
  #displaced: { readonly table: KindTable; readonly key: string; readonly id: string }[] = [];

  get revision(): number {
    return this.#state.revision;
  }

  get publication(): number {
    return this.#state.publication;
  }

  get bodyBytes(): number {
    return this.#state.bodyBytes;
  }

  get<K extends StoredKind>(kind: K, id: string): StoredResource<K> | undefined {
    return this.#state.tables[kind].byId.get(id)?.stored as StoredResource<K> | undefined;
  }

  entry(kind: StoredKind, id: string): ImageEntry | undefined {
    return this.#state.tables[kind].byId.get(id);
  }

  getByKey<K extends StoredKind>(kind: K, uniqueKey: string): StoredResource<K> | undefined {
    const id = this.#state.tables[kind].idByKey.get(uniqueKey);
    return id === undefined ? undefined : this.get(kind, id);
  }

  *all<K extends StoredKind>(kind: K): Iterable<StoredResource<K>> {
    for (const entry of this.#state.tables[kind].byId.values()) yield entry.stored as StoredResource<K>;
  }

  count(kind: StoredKind): number {
    return this.#state.tables[kind].byId.size;
  }

  *referrers<K extends StoredKind>(kind: K, toKind: StoredKind, toId: string): Iterable<StoredResource<K>> {
    for (const id of this.#state.referrers.get(referrerKey(kind, toKind, toId)) ?? []) yield this.get(kind, id)!;
  }

  /** Adds or replaces a resource; returns the one that it replaces. */
  put(entry: ImageEntry): StoredResource | undefined {
    const { kind, id } = entry.stored;
    const table = this.#state.tables[kind];
    const replaced = table.byId.get(id);
    // Most updates change what is found, and nothing that it is found by.
    if (replaced !== undefined && isFoundAlike(table, replaced, entry)) {
      table.byId.set(id, entry);
      this.#state.bodyBytes += entry.stored.body.length - replaced.stored.body.length;
      this.#putSinceAdvance.push(entry);
      return replaced.stored;
    }
    const before = this.remove(kind, id);
    table.byId.set(id, entry);
    this.#state.bodyBytes += entry.stored.body.length;
    for (const key of entry.uniqueKeys) {
      const holder = table.idByKey.get(key);
      if (holder !== undefined) this.#displaced.push({ table, key, id: holder });
      table.idByKey.set(key, id);
    }
    this.#putSinceAdvance.push(entry);
    for (const to of entry.references) {
      const key = referrerKey(kind, to.kind, to.id);
      const ids = this.#state.referrers.get(key);
      if (ids) ids.add(id);
      else this.#state.referrers.set(key, new Set([id]));
    }
    return before;
  }

  /** Takes a resource out; returns it. */
  remove(kind: StoredKind, id: string): StoredResource | undefined {
    const table = this.#state.tables[kind];
    const entry = table.byId.get(id);
    if (entry === undefined) return undefined;
    table.byId.delete(id);
    this.#state.bodyBytes -= entry.stored.body.length;
    for (const key of entry.uniqueKeys) {
      // Within a commit, an earlier write may already have taken the key that this resource gives up.
      if (table.idByKey.get(key) === id) table.idByKey.delete(key);
    }
    for (const to of entry.references) {
      const key = referrerKey(kind, to.kind, to.id);
      const ids = this.#state.referrers.get(key);
      ids?.delete(id);
      if (ids?.size === 0) this.#state.referrers.delete(key);
    }
    return entry.stored;
  }

  /** Says which commit the state now is at. */
  advance(revision: number, publication: number): void {
    // Keys are unique when a commit ends, not within it: one that passed through another resource on the way was
    // given up by that one, and belongs to whoever has it now.
    for (const entry of this.#putSinceAdvance) {
      const table = this.#state.tables[entry.stored.kind];
      if (table.byId.get(entry.stored.id) !== entry) continue;
      for (const key of entry.uniqueKeys) table.idByKey.set(key, entry.stored.id);
    }
    this.#putSinceAdvance = [];
    // It may also be back with one that this commit never touched.
    for (const { table, key, id } of this.#displaced) {
      if (!table.idByKey.has(key) && table.byId.get(id)?.uniqueKeys.includes(key)) table.idByKey.set(key, id);
    }
    this.#displaced = [];
    this.#state.revision = revision;
    this.#state.publication = publication;
  }

  /** Puts another image's state in place of this one's. The other image must not be used afterwards. */
  replaceWith(other: MemoryImage): void {
    this.#state = other.#state;
  }
}

/** Whether a resource keeps its keys, all of which it has, and what it refers to. */
function isFoundAlike(table: KindTable, before: ImageEntry, after: ImageEntry): boolean {
  const { uniqueKeys, references } = before;
  return (
    uniqueKeys.length === after.uniqueKeys.length &&
    references.length === after.references.length &&
    uniqueKeys.every((key, i) => key === after.uniqueKeys[i] && table.idByKey.get(key) === before.stored.id) &&
    references.every(({ kind, id }, i) => kind === after.references[i]!.kind && id === after.references[i]!.id)
  );
}

function emptyState(): State {
  const table = (): KindTable => ({ byId: new Map(), idByKey: new Map() });
  const tables = {
    upstream: table(),
    target: table(),
    service: table(),
    route: table(),
    certificate: table(),
    sni: table(),
    ca_certificate: table(),
    ticket_key: table(),
    health_override: table(),
    quarantine: table(),
    node_authority: table(),
    join_token: table(),
    node_identity: table(),
    rollout: table(),
    rollout_policy: table(),
    rollout_order: table(),
  };
  return { tables, referrers: new Map(), revision: 0, publication: 0, bodyBytes: 0 };
}

function referrerKey(kind: StoredKind, toKind: StoredKind, toId: string): string {
  return `${kind} ${toKind} ${toId}`;
}
