import type { Kind, StoredKind } from "../resource/checked.ts";
import { rulesOfKind } from "../resource/rules-of-kind.ts";
import { findDanglingReferences, SNAPSHOT_KINDS } from "../snapshot/build-snapshot.ts";
import { dependantsOf } from "../snapshot/complete-hold.ts";
import { type HeldVersion, heldVersions, nameOfResource, quarantinesInForce } from "../snapshot/held-versions.ts";
import type { HeldBack } from "../snapshot/judge-refusal.ts";
import { substituted } from "../snapshot/quarantine-view.ts";
import { heldEntity, quarantineWrite, withEntities } from "../snapshot/quarantine-write.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import type { Change, Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";

export interface QuarantineCompletion {
  readonly store: Pick<Store, "image" | "transact" | "onCommit">;
  readonly log: Pick<Log, "warn" | "error">;
}

/** Who the change log names. */
const actor = "quarantine";

/** Times that it is decided anew because the state changed meanwhile. */
const triesMaxCount = 5;

const snapshotKinds: ReadonlySet<StoredKind> = new Set(SNAPSHOT_KINDS);

type Held = ReadonlyMap<string, HeldVersion>;

/**
 * Keeps what nodes get consistent while something is in quarantine. A write may refer to what nodes do not have, delete
 * what the last good version of something refers to, or take a name that it has: the store allows that, since it knows
 * the refused versions. Until this has held back the write as well, nothing is published. Returns the way to stop.
 *
 * Cost: for each commit while something is held back, a look at what changed and at what is held back; else nothing.
 */
export function startQuarantineCompletion({ store, log }: QuarantineCompletion): () => void {
  let heldBefore: Held = new Map();
  let last: Promise<void> = Promise.resolve();
  const complete = (changes: readonly Change[]) => {
    if (heldBefore.size === 0 && store.image.count("quarantine") === 0) return;
    const [before, now] = [heldBefore, heldVersions(store.image)];
    heldBefore = now;
    if (now.size === 0) return;
    // What is held back no longer may need what still is.
    const hasEnded = [...before.keys()].some((name) => !now.has(name));
    if (!hasEnded && isWhole(store.image, now, changes)) return;
    const goodOf = goodBefore(changes, before);
    last = last
      .then(() => completeNow(store, goodOf))
      .then((problem) => (problem === null ? undefined : log.error({ problem }, "a quarantine could not be completed")))
      .catch((error: unknown) => log.error({ err: error }, "a quarantine could not be completed"));
  };
  complete([]);
  return store.onCommit(({ changes }) => complete(changes));
}

type GoodOf = (kind: StoredKind, id: string) => HeldBack["good"] | undefined;

/** What nodes had of the resources that a commit has changed, or that were held back until then. */
function goodBefore(changes: readonly Change[], heldBefore: Held): GoodOf {
  const before = new Map<string, HeldBack["good"]>([...heldBefore].map(([name, { good }]) => [name, good]));
  for (const change of changes) {
    if (!snapshotKinds.has(change.kind)) continue;
    const name = nameOfResource(change);
    if (!before.has(name)) before.set(name, change.before === null ? null : { revision: 0, body: change.before });
  }
  return (kind, id) => before.get(nameOfResource({ kind, id }));
}

/** Whether what nodes get is consistent after some changes, given that it was before them. */
function isWhole(image: ResourceImage, held: Held, changes: readonly Change[]): boolean {
  const state = substituted(image, held);
  const changed = changes.flatMap(({ kind, id }) => (snapshotKinds.has(kind) ? (state.get(kind, id) ?? []) : []));
  const good = [...held.values()].flatMap((one) => one.good ?? []);
  if (findDanglingReferences([...changed, ...good], state).length > 0) return false;
  return !good.some((resource) => isNameTaken(image, held, resource));
}

/** Whether a stored resource that nodes get has a name that one has which stands in for another. */
function isNameTaken(image: ResourceImage, held: Held, { kind, id, message }: StoredResource): boolean {
  if (!Object.hasOwn(rulesOfKind, kind)) return false;
  return rulesOfKind[kind as Kind].uniqueKeys(message as never).some(({ key }) => {
    const owner = image.getByKey(kind, key);
    return owner !== undefined && owner.id !== id && !held.has(nameOfResource(owner));
  });
}

/** Adds what depends on what is held back to its quarantine; the problem, where that fails. */
async function completeNow(store: QuarantineCompletion["store"], goodOf: GoodOf): Promise<string | null> {
  for (let tries = 1; ; tries++) {
    const { image } = store;
    const held = heldVersions(image);
    const dependants = dependantsOf([], { stored: image, held, goodOf });
    // The quarantine that it depends on may have come to its end meanwhile.
    const [quarantine] = quarantinesInForce(image);
    if (dependants.length === 0 || quarantine === undefined) return null;
    const entities = dependants.map((one) => heldEntity(one, image, true));
    const outcome = await store.transact(
      [quarantineWrite(withEntities(quarantine.message, entities), quarantine)],
      actor,
    );
    if (outcome.ok) return null;
    if (outcome.conflict.type === "unavailable") return outcome.conflict.message;
    if (tries === triesMaxCount) return `others changed it at each of ${triesMaxCount} tries`;
  }
}
