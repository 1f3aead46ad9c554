import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { QuarantineSchema } from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import { deletion } from "../admin/deletion.ts";
import type { StoredKind } from "../resource/checked.ts";
import { SNAPSHOT_KINDS } from "../snapshot/build-snapshot.ts";
import type { Channel } from "../snapshot/channel.ts";
import { dependantsOf } from "../snapshot/complete-hold.ts";
import { type HeldVersion, heldVersions, nameOfResource, quarantinesInForce } from "../snapshot/held-versions.ts";
import {
  type ChangesSince,
  type HeldBack,
  type Judgement,
  judgeRefusal,
  type RefusalFacts,
} from "../snapshot/judge-refusal.ts";
import { loggedChangesSince, versionStoredBefore } from "../snapshot/logged-versions.ts";
import { heldEntity, quarantineWrite } from "../snapshot/quarantine-write.ts";
import type { Store } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { Clock } from "./clock.ts";
import type { NodeNackStatus } from "./fleet.ts";

/** A publication that a node has refused. */
export interface NodeRefusal {
  readonly nodeId: string;
  readonly nack: NodeNackStatus;
  /** Where the node's publications come from. */
  readonly channel: Channel;
  /** Publishes the state of this moment; resolves in a turn of the event loop in which that is the state still. */
  readonly refresh: () => Promise<void>;
  /** Publications of that channel that other connected nodes serve, one for each. */
  readonly servedByOthers: () => readonly number[];
}

export interface QuarantineKeeperOptions {
  readonly store: Pick<Store, "image" | "transact" | "readChanges">;
  readonly clock: Pick<Clock, "unixMs">;
  readonly log: Pick<Log, "info" | "warn" | "error">;
  /** Quarantines in force at a time; beyond it, refusals are only told of. Default: 100. */
  readonly maxCount?: number;
}

/** Who the change log names. */
const actor = "quarantine";

/** Resources that one quarantine holds back; a change of more than that is put right by a person. */
const entityMaxCount = 10_000;

/** Quarantines that are no longer in force stay so long for what is refused next, and at most so many. */
const keepMs = 7 * 86_400_000;
const keepMaxCount = 1_000;

/** Versions of entities whose refusals are remembered. */
const refusersMaxCount = 1_000;

/** Refusals that wait to be judged; a fleet refuses in bursts. */
const waitingMaxCount = 20_000;

/**
 * Puts what nodes refuse into quarantine: a write to the store, and so a publication that every control plane pushes
 * alike, in which the refused version has given way to the last good one.
 */
export class QuarantineKeeper {
  readonly #options: QuarantineKeeperOptions;
  readonly #maxCount: number;
  /** The nodes that refused a version, by name and revision; those refused last are last. */
  readonly #refusers = new Map<string, Set<string>>();
  #last: Promise<void> = Promise.resolve();
  #waitingCount = 0;

  constructor(options: QuarantineKeeperOptions) {
    this.#options = options;
    this.#maxCount = options.maxCount ?? 100;
  }

  /** Resolves when it is decided, and stored where something is held back. Never rejects. */
  refused(refusal: NodeRefusal): Promise<void> {
    if (this.#waitingCount >= waitingMaxCount) return Promise.resolve();
    this.#waitingCount++;
    this.#last = this.#last
      .then(() => this.#take(refusal))
      .catch((error: unknown) => this.#options.log.error({ err: error }, "a refusal could not be judged"))
      .finally(() => {
        this.#waitingCount--;
      });
    return this.#last;
  }

  async #take(refusal: NodeRefusal): Promise<void> {
    const { store, log } = this.#options;
    const { nodeId: node, nack, channel } = refusal;
    const { entityKind, entityId, keptPublication } = nack;
    const kind = SNAPSHOT_KINDS.find((known) => known === entityKind);
    // All that takes time comes first: what follows is decided and queued within one turn of the event loop.
    const isKeptKnown = keptPublication === 0 || channel.cache.recent(keptPublication) !== undefined;
    const logged = isKeptKnown ? null : await loggedChangesSince(store, keptPublication);
    const storedBefore = kind === undefined ? null : await versionStoredBefore(store, kind, entityId);
    await refusal.refresh();
    const held = heldVersions(store.image);
    const name = nameOfResource({ kind: entityKind, id: entityId });
    const revision = kind === undefined ? 0 : (store.image.get(kind, entityId)?.revision ?? 0);
    const sincePublished = keptPublication === 0 ? null : channel.cache.changesSince(keptPublication);
    const sinceKept = sincePublished ?? logged;
    const judgement = judgeRefusal({
      ...{ nack, sinceKept, storedBefore, held, isKeptOfStore: sincePublished === null },
      sinceRefused: changedSince(channel, nack.publication, store.image),
      sinceOthers: changesSinceEach(channel, refusal.servedByOthers()),
      refuserCount: this.#countRefusers(`${name} ${revision} ${held.has(name)}`, node),
      isThere: held.has(name) ? held.get(name)!.good !== null : revision !== 0,
    });
    if (judgement.type === "report") log.info({ node, nack, why: judgement.why }, "a refusal holds nothing back");
    else await this.#hold(refusal, judgement, sinceKept, held);
  }

  async #hold(
    { nodeId, nack }: NodeRefusal,
    { heldBack }: Extract<Judgement, { type: "hold" }>,
    since: ChangesSince | null,
    held: ReadonlyMap<string, HeldVersion>,
  ): Promise<void> {
    const { store, clock, log } = this.#options;
    const { image } = store;
    const inForce = quarantinesInForce(image);
    const dependants = dependantsOf(heldBack, { stored: image, held, goodOf: goodIn(since) });
    const count = heldBack.length + dependants.length;
    if (inForce.length >= this.#maxCount || count > entityMaxCount) {
      const facts = { node: nodeId, nack, quarantines: inForce.length, entities: count };
      log.error(facts, "a refusal is not put into quarantine: that would be too much; someone has to look");
      return;
    }
    const quarantine = create(QuarantineSchema, {
      id: randomUUID(),
      entities: [
        ...heldBack.map((one) => heldEntity(one, image, false)),
        ...dependants.map((one) => heldEntity(one, image, true)),
      ],
      ...{ reason: nack.reason, field: nack.field, message: nack.message, nodeIds: [nodeId] },
      publication: BigInt(nack.publication),
      keptPublication: BigInt(nack.keptPublication),
      since: timestampFromMs(clock.unixMs()),
    });
    const outcome = await store.transact([quarantineWrite(quarantine, null), ...this.#outdated()], actor);
    const entities = quarantine.entities.slice(0, 20).map(nameOfResource);
    const facts = { node: nodeId, quarantine: quarantine.id, entities, count, message: nack.message };
    if (outcome.ok) log.warn(facts, "what a node refused is in quarantine: all nodes get its last good version");
    else if (outcome.conflict.type === "unavailable")
      log.error({ ...facts, problem: outcome.conflict.message }, "a quarantine could not be stored");
    // Any other conflict: another control plane was faster.
  }

  /** The deletions of quarantines that have served their time. */
  #outdated() {
    const { store, clock } = this.#options;
    const inForce = new Set(quarantinesInForce(store.image));
    const over = [...store.image.all("quarantine")].filter((one) => !inForce.has(one));
    over.sort((left, right) => right.revision - left.revision);
    const oldestMs = clock.unixMs() - keepMs;
    return over
      .filter(({ message }, index) => index >= keepMaxCount || timestampMs(message.since!) < oldestMs)
      .map((one) => deletion(one, one.revision));
  }

  #countRefusers(version: string, nodeId: string): number {
    const refusers = this.#refusers.get(version) ?? new Set();
    refusers.add(nodeId);
    this.#refusers.delete(version);
    this.#refusers.set(version, refusers);
    if (this.#refusers.size > refusersMaxCount) this.#refusers.delete(this.#refusers.keys().next().value!);
    return refusers.size;
  }
}

/**
 * What is other now than in a publication of a channel; null where that is not known any more. A channel that the node has
 * left may publish nothing any more: what it does not know counts as changed.
 */
function changedSince(
  { cache, newest }: Channel,
  publication: number,
  image: Pick<Store["image"], "all">,
): RefusalFacts["sinceRefused"] {
  const changes = cache.changesSince(publication);
  if (changes === null) return null;
  const knownRevision = newest?.revision ?? 0;
  const later = new Set<string>();
  for (const kind of SNAPSHOT_KINDS)
    for (const one of image.all(kind)) if (one.revision > knownRevision) later.add(nameOfResource(one));
  return { has: (name) => changes.has(name) || later.has(name) };
}

/** For each of the publications, as far as they are known; the newest first. */
function changesSinceEach({ cache }: Channel, publications: readonly number[]): ChangesSince[] {
  const known = new Map([...new Set(publications)].map((one) => [one, cache.changesSince(one)]));
  const newestFirst = [...publications].sort((left, right) => right - left);
  return newestFirst.map((one) => known.get(one) ?? null).filter((changes) => changes !== null);
}

function goodIn(since: ChangesSince | null): (kind: StoredKind, id: string) => HeldBack["good"] | undefined {
  return (kind, id) => since?.get(nameOfResource({ kind, id }))?.before;
}
