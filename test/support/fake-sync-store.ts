import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { StoredKind } from "../../control-plane/resource/checked.ts";
import type { ResourceImage, StoredResource } from "../../control-plane/store/resource-image.ts";
import type { Change, Commit, StoreEpoch } from "../../control-plane/store/store.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";

/** As much of a store as the sync hub reads, without rules: a test may also make a state that a store never would. */
export class FakeSyncStore {
  readonly epoch: StoreEpoch;
  readonly image: ResourceImage;
  #revision: number;
  readonly #resources = new Map<string, StoredResource>();
  readonly #listeners = new Set<(commit: Commit) => void>();

  /** @param revision at the start; the publication is always equal to it */
  constructor({ epoch = { counter: 5, id: Buffer.alloc(16, 1) }, revision = 0 } = {}) {
    this.epoch = epoch;
    this.#revision = revision;
    const ofKind = <K extends StoredKind>(kind: K) =>
      [...this.#resources.values()].filter((resource) => resource.kind === kind) as StoredResource<K>[];
    const currentRevision = () => this.#revision;
    this.image = {
      get revision() {
        return currentRevision();
      },
      get publication() {
        return currentRevision();
      },
      get: (kind, id) => ofKind(kind).find((resource) => resource.id === id),
      getByKey: () => undefined,
      all: ofKind,
      count: (kind) => ofKind(kind).length,
      bodyBytes: 0,
      referrers: () => [],
    };
  }

  /** Commits an upstream with that name as its id; returns the revision. */
  putUpstream(name: string, message: MessageInitShape<typeof UpstreamSchema> = {}): number {
    const upstream = create(UpstreamSchema, { ...message, id: name, name });
    return this.put({ kind: "upstream", id: name, body: toBinary(UpstreamSchema, upstream), message: upstream });
  }

  /** Commits any resource; returns the revision. */
  put(resource: Omit<StoredResource, "revision">): number {
    const revision = ++this.#revision;
    const key = `${resource.kind}/${resource.id}`;
    const before = this.#resources.get(key)?.body ?? null;
    this.#resources.set(key, { ...resource, revision });
    return this.#committed(revision, { kind: resource.kind, id: resource.id, before, after: resource.body });
  }

  /** Commits the removal of a resource; returns the revision. */
  remove(kind: StoredKind, id: string): number {
    const key = `${kind}/${id}`;
    const before = this.#resources.get(key)?.body ?? null;
    this.#resources.delete(key);
    return this.#committed(++this.#revision, { kind, id, before, after: null });
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #committed(revision: number, changed: Pick<Change, "kind" | "id" | "before" | "after">): number {
    const operation = changed.after === null ? "delete" : changed.before === null ? "create" : "update";
    const change = { ...changed, revision, operation, atUnixMs: 0 } as const;
    for (const listener of this.#listeners) listener({ revision, publication: revision, changes: [change] });
    return revision;
  }
}
