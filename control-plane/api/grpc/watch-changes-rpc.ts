import { Code, ConnectError } from "@connectrpc/connect";
import { ChangeKind } from "../../../proto/gen/penstock/admin/v1/write_result_pb.ts";
import { etagOf } from "../../admin/etag.ts";
import type { Kind } from "../../resource/checked.ts";
import type { ResourceOf } from "../../resource/draft.ts";
import type { ResourceRules } from "../../resource/resource-rules.ts";
import { rulesOfKind } from "../../resource/rules-of-kind.ts";
import { maskSecrets } from "../../resource/secret-fields.ts";
import { decodeResource } from "../../store/decode-resource.ts";
import type { Change, Store } from "../../store/store.ts";
import { type ChangeQueue, openChangeQueue } from "./change-queue.ts";

/** Changes that wait for one slow watcher before it is cut off; a bulk write is a few hundred. */
export const watchQueueMaxCount = 4096;

/** Changes read from the log at a time while a watcher catches up. */
const replayPageCount = 512;

/** What to watch. */
export interface Watch<K extends Kind> {
  readonly kind: K;
  /** Changes after this revision; 0 for everything there is, then its changes. */
  readonly fromRevision: number;
  /** Leaves out resources of no interest; one that starts or stops to be wanted is created or deleted to the watcher. */
  readonly isWanted?: (resource: ResourceOf[K]) => boolean;
  /** Ends the watch: the client cancelled, its deadline is over, or the control plane shuts down. */
  readonly signal: AbortSignal;
}

export interface WatchedChange<K extends Kind> {
  readonly change: ChangeKind;
  readonly resource: ResourceOf[K];
  readonly revision: number;
}

/**
 * Follows the changes of one kind: each exactly once, in revision order, none left out between the past and the present.
 * A watcher that does not keep up is ended, never waited for; it can go on from the last revision that it got.
 *
 * Errors: OUT_OF_RANGE (changes no longer kept, or a revision that was not made yet), RESOURCE_EXHAUSTED (too slow).
 */
export async function* watchChanges<K extends Kind>(store: Store, watch: Watch<K>): AsyncGenerator<WatchedChange<K>> {
  // Subscribed before anything is read, in one turn with reading the image: so the live changes begin right after it.
  const queue = openChangeQueue(store, { kind: watch.kind, maxCount: watchQueueMaxCount, signal: watch.signal });
  const startRevision = store.image.revision;
  try {
    if (watch.fromRevision > startRevision)
      throw new ConnectError(`revision ${watch.fromRevision} has not been made yet`, Code.OutOfRange);
    if (watch.fromRevision === 0) yield* existing(store, watch, startRevision);
    else yield* replayed(store, watch, startRevision);
    yield* live(queue, watch, startRevision);
  } finally {
    queue.close();
  }
}

function* existing<K extends Kind>(store: Store, watch: Watch<K>, revision: number): Generator<WatchedChange<K>> {
  // Copied at once: the image moves on while a watcher reads, but a committed resource is never changed.
  const rows = [...store.image.all(watch.kind)];
  for (const row of rows) {
    watch.signal.throwIfAborted();
    if (watch.isWanted?.(row.message) === false) continue;
    yield {
      change: ChangeKind.EXISTING,
      resource: { ...masked(watch, row.message), etag: etagOf(row.revision) },
      revision,
    };
  }
}

async function* replayed<K extends Kind>(
  store: Store,
  watch: Watch<K>,
  upToRevision: number,
): AsyncGenerator<WatchedChange<K>> {
  let afterRevision = watch.fromRevision;
  while (afterRevision < upToRevision) {
    watch.signal.throwIfAborted();
    const changes = await store.readChanges(afterRevision, replayPageCount);
    if (changes === null)
      throw new ConnectError(`the changes after revision ${afterRevision} are no longer kept`, Code.OutOfRange);
    const last = changes.at(-1);
    if (last === undefined) return;
    for (const change of changes) if (change.revision <= upToRevision) yield* seenBy(watch, change);
    afterRevision = last.revision;
  }
}

async function* live<K extends Kind>(
  queue: ChangeQueue,
  watch: Watch<K>,
  afterRevision: number,
): AsyncGenerator<WatchedChange<K>> {
  while (true) {
    const change = await queue.next();
    if (change === "aborted") throw watch.signal.reason;
    if (change === "overflow")
      throw new ConnectError("the watcher is too slow; watch again from its last revision", Code.ResourceExhausted);
    // What the image already held when the watch began has been told.
    if (change.revision > afterRevision) yield* seenBy(watch, change);
  }
}

/** A stream goes on for longer than anyone can say who reads it: it shows no secrets. */
function masked<K extends Kind>({ kind }: Watch<K>, message: ResourceOf[K]): ResourceOf[K] {
  return maskSecrets<K>(rulesOfKind[kind] as unknown as ResourceRules<K>, message);
}

/** The change as this watcher sees it: a resource that enters or leaves what is wanted is created or deleted to it. */
function* seenBy<K extends Kind>(watch: Watch<K>, change: Change): Generator<WatchedChange<K>> {
  if (change.kind !== watch.kind) return;
  const before = decode(watch, change.before);
  const after = decode(watch, change.after);
  const { revision } = change;
  if (after !== undefined) {
    const kind = before === undefined ? ChangeKind.CREATED : ChangeKind.UPDATED;
    yield { change: kind, resource: { ...after, etag: etagOf(revision) }, revision };
  } else if (before !== undefined) yield { change: ChangeKind.DELETED, resource: before, revision };
}

function decode<K extends Kind>(watch: Watch<K>, body: Uint8Array | null): ResourceOf[K] | undefined {
  if (body === null) return undefined;
  const message = masked(watch, decodeResource(watch.kind, body));
  return watch.isWanted?.(message) === false ? undefined : message;
}
