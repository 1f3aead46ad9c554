import type { StoredKind } from "../resource/checked.ts";
import type { Change, Store } from "../store/store.ts";
import { SNAPSHOT_KINDS } from "./build-snapshot.ts";
import { hashOf, nameOfResource } from "./held-versions.ts";
import type { ChangesSince } from "./judge-refusal.ts";
import type { ChangedResource, ResourceVersion } from "./publication-ring.ts";

type LogReader = Pick<Store, "image" | "readChanges">;

/** Changes read at a time, and in all; what a node kept before more than those is too long ago to go back to. */
const pageCount = 1_000;
const readMaxCount = 20_000;

const snapshotKinds: ReadonlySet<StoredKind> = new Set(SNAPSHOT_KINDS);

/**
 * What has changed since a publication, by the store's own log: for publications from before this process started. What
 * was in quarantine then is told as nodes had it. null when the log does not go back that far.
 */
export async function loggedChangesSince(store: LogReader, publication: number): Promise<ChangesSince | null> {
  const changed = new Map<string, ChangedResource>();
  // A revision is never less than its publication.
  let revision = publication;
  for (let count = 0; count < readMaxCount; ) {
    const page = await store.readChanges(revision, pageCount);
    if (page === null) return null;
    for (const change of page) {
      if (change.publication <= publication || !snapshotKinds.has(change.kind)) continue;
      const name = nameOfResource(change);
      if (!changed.has(name))
        changed.set(name, { kind: change.kind, id: change.id, before: servedBefore(store, change) });
    }
    const last = page.at(-1);
    if (last === undefined || last.revision >= store.image.revision) return changed;
    revision = last.revision;
    count += page.length;
  }
  return null;
}

/** The version that was stored before the present one; null: none, or not known any more. */
export async function versionStoredBefore(
  store: LogReader,
  kind: StoredKind,
  id: string,
): Promise<ResourceVersion | null> {
  const stored = store.image.get(kind, id);
  if (stored === undefined) return null;
  const changes = await store.readChanges(stored.revision - 1, 1);
  const change = changes?.find((one) => one.kind === kind && one.id === id && one.revision === stored.revision);
  return change === undefined ? null : servedBefore(store, change);
}

/** What a change replaced or, where that was refused, what nodes had in its place. */
function servedBefore({ image }: LogReader, { kind, id, before }: Change): ResourceVersion | null {
  if (before === null) return null;
  const beforeHash = hashOf(before);
  for (const { message } of image.all("quarantine")) {
    const entity = message.entities.find((one) => one.kind === kind && one.id === id);
    if (entity === undefined || Buffer.compare(entity.refusedHash, beforeHash) !== 0) continue;
    return entity.goodBody === undefined ? null : { revision: Number(entity.goodRevision), body: entity.goodBody };
  }
  return { revision: 0, body: before };
}
