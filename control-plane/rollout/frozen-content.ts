import type { StoredKind } from "../resource/checked.ts";
import { SNAPSHOT_KINDS } from "../snapshot/build-snapshot.ts";
import { decodeResource } from "../store/decode-resource.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { Commit } from "../store/store.ts";

/**
 * What nodes get at once, whatever is rolled out: what a person decides of a target must not wait, and a key of session
 * tickets that is replaced late is worth less than one that is replaced.
 */
export const LIVE_KINDS: ReadonlySet<StoredKind> = new Set(["health_override", "ticket_key"]);

/** What a rollout holds back. */
export const HELD_KINDS: readonly StoredKind[] = SNAPSHOT_KINDS.filter((kind) => !LIVE_KINDS.has(kind));

const heldKinds: ReadonlySet<StoredKind> = new Set(HELD_KINDS);

/**
 * The content of the store as it was at a revision. Its resources are those of the store's image.
 *
 * Cost: 2 ms to make one of 20,000 resources; 100 bytes for each.
 */
export class FrozenContent {
  readonly #byKind: ReadonlyMap<StoredKind, Map<string, StoredResource>>;
  /** What was put back already: what comes later in history must not undo that. */
  readonly #reverted = new Set<string>();

  readonly #overridesOfRemoved = new Map<string, StoredResource<"health_override">>();

  /** What it is the content of, once the commits after that have passed. */
  readonly revision: number;
  /** What it was made of. */
  readonly #madeAtRevision: number;

  private constructor(byKind: ReadonlyMap<StoredKind, Map<string, StoredResource>>, revision: number, madeAt: number) {
    this.#byKind = byKind;
    this.revision = revision;
    this.#madeAtRevision = madeAt;
  }

  /** As it was at a revision; the commits between that and the image have to pass before it is. */
  static of(image: Pick<ResourceImage, "all" | "revision">, revision: number): FrozenContent {
    const byKind = HELD_KINDS.map((kind) => {
      const byId = new Map<string, StoredResource>();
      for (const resource of image.all(kind)) byId.set(resource.id, resource);
      return [kind, byId] as const;
    });
    return new FrozenContent(new Map(byKind), revision, image.revision);
  }

  get(kind: StoredKind, id: string): StoredResource | undefined {
    return this.#byKind.get(kind)?.get(id);
  }

  all(kind: StoredKind): Iterable<StoredResource> {
    return this.#byKind.get(kind)?.values() ?? [];
  }

  /** What people had decided of its targets that are in the store no longer: it went with them, not by itself. */
  overridesOfRemoved(): Iterable<StoredResource<"health_override">> {
    return this.#overridesOfRemoved.values();
  }

  /** Takes back what a commit changed, if that is in it and must not be. Given the oldest first. */
  pass({ revision, changes }: Pick<Commit, "revision" | "changes">): void {
    if (revision <= this.revision) return;
    this.#keepOverrides(revision, changes);
    if (revision > this.#madeAtRevision) return;
    for (const { kind, id, before } of changes) {
      if (!heldKinds.has(kind) || this.#reverted.has(`${kind} ${id}`)) continue;
      this.#reverted.add(`${kind} ${id}`);
      const byId = this.#byKind.get(kind)!;
      if (before === null) byId.delete(id);
      else byId.set(id, { kind, id, revision: 0, body: before, message: decodeResource(kind, before) });
    }
  }

  #keepOverrides(revision: number, changes: Commit["changes"]): void {
    for (const { kind, id, before, after } of changes) {
      if (kind !== "health_override" || before === null || after !== null) continue;
      const message = decodeResource(kind, before);
      const isRemoved = changes.some(
        (change) => change.kind === "target" && change.id === message.target?.id && change.after === null,
      );
      if (isRemoved) this.#overridesOfRemoved.set(id, { kind, id, revision, body: before, message });
    }
  }

  /** Whether the image has the same in it, byte for byte. */
  isSameAs(image: Pick<ResourceImage, "all" | "count">): boolean {
    for (const kind of HELD_KINDS) {
      const byId = this.#byKind.get(kind)!;
      if (byId.size !== image.count(kind)) return false;
      for (const { id, body } of image.all(kind)) {
        const own = byId.get(id)?.body;
        if (own === undefined || (own !== body && Buffer.compare(own, body) !== 0)) return false;
      }
    }
    return true;
  }
}
