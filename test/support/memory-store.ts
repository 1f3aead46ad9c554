import type { StoredKind } from "../../control-plane/resource/checked.ts";
import { decodeResource } from "../../control-plane/store/decode-resource.ts";
import type { ResourceImage, StoredResource } from "../../control-plane/store/resource-image.ts";
import type {
  Change,
  Commit,
  LoggedChange,
  ResourceWrite,
  Store,
  StoreConflict,
  StoreEpoch,
  TransactOutcome,
} from "../../control-plane/store/store.ts";

interface Row {
  readonly stored: StoredResource;
  readonly uniqueKeys: readonly string[];
  readonly references: ResourceWrite["references"];
}

type Rows = ReadonlyMap<string, Row>;

/**
 * A store without disk, for tests of what stands on a store. Honours the contract of Store, with one state copied for
 * each transaction: simple before fast. Commits in turns of their own, so that callers meet as they do in life.
 */
export class MemoryStore implements Store {
  readonly epoch: StoreEpoch = { counter: 1, id: new Uint8Array(16) };
  readonly image: ResourceImage;
  /** Called before each transaction is decided, with its writes: the place to change the state under a caller. */
  beforeTransact: ((writes: readonly ResourceWrite[]) => void) | null = null;
  /** What every transaction ends in while it is set. */
  refuseWith: StoreConflict | null = null;
  transactCount = 0;

  #rows: Rows = new Map();
  #revision = 0;
  readonly #changes: Change[] = [];
  readonly #listeners = new Set<(commit: Commit) => void>();

  constructor() {
    this.image = imageOf(
      () => this.#rows,
      () => this.#revision,
    );
  }

  async transact(writes: readonly ResourceWrite[], _actor: string): Promise<TransactOutcome> {
    await new Promise(setImmediate);
    this.beforeTransact?.(writes);
    return this.transactNow(writes);
  }

  /** The same, at once: for what another client does in between. */
  transactNow(writes: readonly ResourceWrite[]): TransactOutcome {
    this.transactCount++;
    if (this.refuseWith !== null) return { ok: false, conflict: this.refuseWith };
    const revision = this.#revision + 1;
    const rows = new Map(this.#rows);
    for (const [index, write] of writes.entries()) {
      const conflict = applyWrite(rows, write, index, revision);
      if (conflict !== null) return { ok: false, conflict };
    }
    const conflict = findConflict(rows, writes);
    if (conflict !== null) return { ok: false, conflict };
    const changes = writes.map((write) => this.#changeOf(write, revision));
    this.#rows = rows;
    this.#revision = revision;
    this.#changes.push(...changes);
    for (const listener of this.#listeners) listener({ revision, publication: revision, changes });
    return { ok: true, revision, publication: revision };
  }

  async readChanges(afterRevision: number, maxCount: number): Promise<readonly LoggedChange[] | null> {
    return this.#changes
      .filter(({ revision }) => revision > afterRevision)
      .slice(0, maxCount)
      .map((change) => ({ ...change, publication: change.revision }));
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {}

  #changeOf({ kind, id, operation, body }: ResourceWrite, revision: number): Change {
    const before = this.#rows.get(rowKey(kind, id))?.stored.body ?? null;
    const after = operation === "delete" ? null : body;
    return { revision, kind, id, operation, before, after, atUnixMs: 0 };
  }
}

const rowKey = (kind: StoredKind, id: string): string => `${kind} ${id}`;

function imageOf(rows: () => Rows, revision: () => number): ResourceImage {
  const ofKind = <K extends StoredKind>(kind: K): (Row & { stored: StoredResource<K> })[] =>
    [...rows().values()].filter((row) => row.stored.kind === kind) as (Row & { stored: StoredResource<K> })[];
  return {
    get revision() {
      return revision();
    },
    get publication() {
      return revision();
    },
    get: <K extends StoredKind>(kind: K, id: string) =>
      rows().get(rowKey(kind, id))?.stored as StoredResource<K> | undefined,
    getByKey: (kind, key) => ofKind(kind).find(({ uniqueKeys }) => uniqueKeys.includes(key))?.stored,
    all: (kind) => ofKind(kind).map(({ stored }) => stored),
    count: (kind) => ofKind(kind).length,
    get bodyBytes() {
      return [...rows().values()].reduce((sum, { stored }) => sum + stored.body.length, 0);
    },
    referrers: (kind, toKind, toId) =>
      ofKind(kind)
        .filter(({ references }) => references.some((to) => to.kind === toKind && to.id === toId))
        .map(({ stored }) => stored),
  };
}

function applyWrite(
  rows: Map<string, Row>,
  write: ResourceWrite,
  index: number,
  revision: number,
): StoreConflict | null {
  const key = rowKey(write.kind, write.id);
  const row = rows.get(key);
  if (write.operation === "create" && row !== undefined) return { type: "duplicate_id", write: index };
  if (write.operation !== "create" && row === undefined) return { type: "revision", write: index };
  if (write.expectedRevision !== null && write.expectedRevision !== row?.stored.revision)
    return { type: "revision", write: index };
  if (write.operation === "delete") rows.delete(key);
  else {
    const { kind, id, body, uniqueKeys, references } = write;
    // Decoded as the durable store does, so that what does not survive encoding shows.
    const message = decodeResource(kind, body);
    rows.set(key, { stored: { kind, id, revision, body, message }, uniqueKeys, references });
  }
  return null;
}

/** Keys and references count as they are when the transaction ends. */
function findConflict(rows: Rows, writes: readonly ResourceWrite[]): StoreConflict | null {
  for (const [index, write] of writes.entries()) {
    const others = [...rows.values()].filter(({ stored }) => stored.kind !== write.kind || stored.id !== write.id);
    if (write.operation === "delete") {
      const by = others.find(({ references }) => references.some((to) => to.kind === write.kind && to.id === write.id));
      if (by) return { type: "still_referenced", write: index, byKind: by.stored.kind, byId: by.stored.id };
      continue;
    }
    const taken = write.uniqueKeys.find((key) =>
      others.some(({ stored, uniqueKeys }) => stored.kind === write.kind && uniqueKeys.includes(key)),
    );
    if (taken !== undefined) return { type: "duplicate_key", write: index, key: taken };
    const missing = write.references.find((to) => !rows.has(rowKey(to.kind, to.id)));
    if (missing) return { type: "dangling_reference", write: index, kind: missing.kind, id: missing.id };
  }
  return null;
}
