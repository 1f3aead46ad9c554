import type { ReceivedSnapshot, Refusal } from "../../data-plane/snapshot/apply-snapshot.ts";
import type { Reach } from "../../data-plane/sync/reach-address.ts";
import type { NodeMessage, NodeStream, SyncStreamOptions } from "../../data-plane/sync/sync-stream.ts";
import { isSameHash } from "../../proto/state-hash.ts";
import { isContent, isPoisoned, POISON, type Zone } from "./meant-content.ts";
import { countRollouts, endRollouts, strikeRollout } from "./rollout-strikes.ts";
import { SimulatedHub } from "./simulated-hub.ts";
import { nameOf, refusalOf, SimulatedNode } from "./simulated-node.ts";
import { SimulatedStore } from "./simulated-store.ts";
import { SimulatedStream, told } from "./simulated-stream.ts";
import { type Random, SimulatedTime, seededRandom } from "./simulated-time.ts";
import { noCounts, type SimulationCounts } from "./simulation-counts.ts";

export interface SimulationOptions {
  /** Added to. */
  readonly counts?: SimulationCounts;
  /** A planted fault of the simulated nodes, which the simulation has to find. */
  readonly acksTooEarly?: boolean;
  /** Gets a line for each thing that happens: to look at a seed that failed. */
  readonly trace?: (line: string) => void;
}

/** What must never happen has happened. */
export class SimulationFailure extends Error {}

const CHAOS_MS = 8_000;
/** Longer than the longest silence, wait before connecting again and heartbeat together. */
const SETTLE_MS = 60_000;
/** For one more publication, when all are connected. */
const LAST_WRITE_MS = 20_000;

const UPSTREAM_COUNT = 25;

/** What nothing but a fault of ours can bring about here, since the simulated network changes no byte. */
const IMPOSSIBLE_REASONS: ReadonlySet<string> = new Set([
  ...["hash_mismatch", "invalid_delta", "invalid_snapshot", "duplicate_entity", "limit_exceeded", "internal_error"],
  ...["apply_failed", "diverged", "foreign_store", "newer_epoch"],
]);

/**
 * One life of a small fleet, the same for the same seed: control planes over one store and nodes with their real hub,
 * sessions, caches, sync clients and inboxes, joined by a network that breaks. In the end everything is well again,
 * and then every node must serve what was published last.
 *
 * Errors: rejects with SimulationFailure when an invariant is broken.
 */
export async function simulateSync(seed: number, options: SimulationOptions = {}): Promise<void> {
  const fleet = new SimulatedFleet(seed, options);
  try {
    await fleet.run();
  } catch (cause) {
    if (cause instanceof SimulationFailure) throw new SimulationFailure(`seed ${seed}: ${cause.message}`);
    throw new SimulationFailure(`seed ${seed}: ${(cause as Error).stack}`);
  } finally {
    fleet.close();
  }
}

class SimulatedFleet {
  readonly time = new SimulatedTime();
  readonly random: Random;
  readonly recentMaxCount: number;
  readonly helloMaxPerSecond: number;
  readonly hasRollouts: boolean;
  readonly counts: SimulationCounts;
  readonly #store = new SimulatedStore(UPSTREAM_COUNT);
  readonly #hubs = new Map<string, SimulatedHub | null>();
  readonly #nodes: SimulatedNode[] = [];
  #streams: { readonly stream: SimulatedStream; readonly node: SimulatedNode }[] = [];
  readonly #pickyNodes = new Set<string>();
  #isChaos = true;
  #failure: string | null = null;
  readonly #trace: (line: string) => void;
  /** What each node served last, since its start. */
  readonly #last = new Map<string, ReceivedSnapshot>();
  /** What each node has ever served, as numbers and hashes. */
  readonly #everServed = new Map<string, Set<string>>();

  constructor(seed: number, { counts = noCounts(), acksTooEarly = false, trace }: SimulationOptions) {
    this.#trace = (line) => trace?.(`${this.time.nowMs.toFixed(1).padStart(9)} ms  ${line}`);
    this.random = seededRandom(seed);
    this.counts = counts;
    this.recentMaxCount = this.#oneOf([1, 2, 5, 1_000]);
    this.helloMaxPerSecond = this.#oneOf([1, 200, 200]);
    const addresses = this.#oneOf([["a"], ["a", "b"]]);
    for (const address of addresses) this.#hubs.set(address, null);
    // A store with rollouts has one control plane.
    this.hasRollouts = addresses.length === 1;
    const nodeCount = 1 + this.#below(3);
    for (let i = 0; i < nodeCount; i++) {
      const id = `n${i}`;
      if (this.random() < 0.5) this.#pickyNodes.add(id);
      this.#store.move(id, this.#zone());
      this.#everServed.set(id, new Set());
      this.#nodes.push(
        new SimulatedNode({
          ...{ id, addresses, acksTooEarly, time: this.time, random: this.random, log: this.log },
          openStream: (node, client) => this.#openStream(node, client),
          reach: (node) => this.#reach(node),
          refusal: (snapshot) => this.#refusal(id, snapshot),
          onServed: (node, snapshot, how) => this.#served(node, snapshot, how),
        }),
      );
    }
  }

  /** Nothing that is logged as an error may come about. */
  readonly log = {
    debug() {},
    info() {},
    warn() {},
    error: (facts: { err?: Error }, message: string) => this.fail(`${message}: ${facts.err?.stack ?? ""}`),
  };

  fail(failure: string): void {
    this.#failure ??= `after ${Math.round(this.time.nowMs)} ms: ${failure}`;
  }

  async run(): Promise<void> {
    for (const address of this.#hubs.keys()) this.#hubs.set(address, new SimulatedHub(this, this.#store));
    for (const node of this.#nodes) this.time.after(500 * this.random(), () => node.start());
    while (this.time.nowMs < CHAOS_MS) {
      await this.#runFor(800 * this.random() ** 2);
      this.#strike();
    }
    this.#isChaos = false;
    for (const [address, hub] of this.#hubs) {
      if (hub === null) this.#hubs.set(address, new SimulatedHub(this, this.#store));
    }
    for (const node of this.#nodes) if (!node.process.isAlive) node.start();
    if (this.hasRollouts) await this.#settleRollouts();
    // What more nodes can live with than not stays as it is, and leaves the others behind until somebody mends it.
    if (2 * this.#pickyNodes.size < this.#nodes.length) this.#store.mend();
    await this.#runFor(SETTLE_MS);
    // A node is not sent again what it refused: only the next publication brings it along.
    if (this.#nodes.some((node) => this.#hasRefusedNewest(node))) {
      this.#store.put("last", "");
      await this.#runFor(LAST_WRITE_MS);
    }
    for (const node of this.#nodes) this.#checkIsUpToDate(node);
    this.counts.quarantines += this.#store.newest.quarantines.size;
    countRollouts(this.#store.commits, this.counts);
  }

  /** Rollouts go on, or stay as they are, and nodes have what that means; then somebody ends them. */
  async #settleRollouts(): Promise<void> {
    await this.#runFor(SETTLE_MS);
    for (const node of this.#nodes) if (!this.#hasRefusedNewest(node)) this.#checkHasMeant(node);
    for (let tries = 0; this.#store.isHeld; tries++) {
      if (tries === 5) throw new SimulationFailure(`the rollouts of ${this.#newestName()} do not end`);
      for (const hub of this.#hubs.values()) if (hub?.driver != null) endRollouts(hub.driver);
      await this.#runFor(3_000);
    }
  }

  close(): void {
    for (const hub of this.#hubs.values()) hub?.kill();
    for (const node of this.#nodes) node.kill();
  }

  async #runFor(ms: number): Promise<void> {
    await this.time.runUntil(this.time.nowMs + ms, () => {
      this.#checkBeliefs();
      if (this.#failure !== null) throw new SimulationFailure(this.#failure);
    });
  }

  /** One thing happens that may happen at any time. */
  #strike(): void {
    if (this.random() < 0.04) {
      this.counts.clockJumps++;
      this.time.wallOffsetMs = this.#oneOf([-3_600_000, 0, 3_600_000]);
    }
    const chance = this.random();
    const driver = this.hasRollouts ? (this.#hubs.get("a")?.driver ?? null) : null;
    if (driver !== null && this.random() < 0.35) {
      strikeRollout(driver, this.random, (order) => this.#put(order));
      return;
    }
    this.#trace(`strike ${chance.toFixed(3)}, the newest is ${this.#newestName()}`);
    if (chance < 0.46) this.#write();
    else if (chance < 0.5) this.#move();
    else if (chance < 0.64) this.#anyStream()?.stream.break();
    else if (chance < 0.72) this.#anyStream()?.stream.stall(this.#oneOf([200, 3_000, 20_000]));
    else if (chance < 0.8) this.#restartNode();
    else if (chance < 0.87) this.#restartHub(this.#oneOf([...this.#hubs.keys()]));
    else if (chance < 0.93) this.counts.goneBack += this.#oneOf(this.#nodes).goBack() ? 1 : 0;
    else if (chance < 0.98) this.#poison();
    else this.#restoreStore();
  }

  #write(): void {
    const count = this.#oneOf([1, 1, 1, 3, 15]);
    this.counts.writes += count;
    for (let i = 0; i < count; i++) {
      const id = `u${this.#below(UPSTREAM_COUNT + 5)}`;
      if (this.random() < 0.25) this.#store.remove(id);
      else this.#store.put(id, this.#zone());
    }
  }

  #put(order: "staged" | "immediate"): void {
    this.#store.put(`u${this.#below(UPSTREAM_COUNT + 5)}`, this.#zone(), "", order);
  }

  #move(): void {
    this.counts.moved++;
    this.#store.move(this.#oneOf(this.#nodes).id, this.#zone());
  }

  #zone(): Zone {
    return this.#oneOf(["", "eu", "us"]);
  }

  #poison(): void {
    this.counts.poisonings++;
    this.#store.put(`u${this.#below(UPSTREAM_COUNT + 5)}`, this.#zone(), POISON);
  }

  #restartNode(): void {
    const node = this.#oneOf(this.#nodes);
    if (!node.process.isAlive) return;
    this.counts.nodeRestarts++;
    this.#last.delete(node.id);
    node.kill();
    for (const { stream, node: opener } of this.#streams) if (opener === node) stream.processGone("node");
    this.time.after(1_000 * this.random(), () => (node.process.isAlive ? undefined : node.start()));
  }

  #restartHub(address: string): void {
    const hub = this.#hubs.get(address)!;
    if (hub === null) return;
    this.counts.hubRestarts++;
    this.#killHub(address, hub);
    this.time.after(2_000 * this.random(), () => {
      if (this.#hubs.get(address) === null) this.#hubs.set(address, new SimulatedHub(this, this.#store));
    });
  }

  #killHub(address: string, hub: SimulatedHub): void {
    this.#hubs.set(address, null);
    for (const { stream } of this.#streams) if (stream.hubProcess === hub.process) stream.processGone("hub");
    hub.kill();
  }

  /** Every control plane ends, and comes back with what the backup held. */
  #restoreStore(): void {
    this.counts.restoredStores++;
    this.#trace("the store is restored");
    for (const [address, hub] of this.#hubs) if (hub !== null) this.#killHub(address, hub);
    this.#store.restore(this.#oneOf(this.#store.commits));
    for (const address of this.#hubs.keys()) {
      this.time.after(2_000 * this.random(), () => {
        if (this.#hubs.get(address) === null) this.#hubs.set(address, new SimulatedHub(this, this.#store));
      });
    }
  }

  #reach({ process }: SimulatedNode): Reach {
    return (address, done) =>
      process.clock.after(1 + 20 * this.random(), () => {
        const isThere = this.#hubs.get(address) !== null;
        if (!isThere) this.counts.absences++;
        done(isThere ? null : "connection refused");
      });
  }

  #openStream(node: SimulatedNode, client: SyncStreamOptions): NodeStream {
    this.counts.streams++;
    const pushed = new Set<number>();
    const stream: SimulatedStream = new SimulatedStream({
      ...{ time: this.time, random: this.random, node: node.process },
      client: {
        ...client,
        onMessage: (message) => {
          this.#trace(`${node.id} < ${client.address}  ${told(message)}`);
          if (message.case === "snapshotEnd") this.counts.wholes++;
          if (message.case === "delta") this.counts.deltas++;
          if (message.case === "snapshotEnd" || message.case === "delta") pushed.add(Number(message.value.publication));
          client.onMessage(message);
        },
        onClose: (end) => {
          this.#trace(`${node.id} | ${client.address}  ${end.reason}`);
          if (end.retryAfterMs > 0) this.counts.turnedAway++;
          client.onClose(end);
        },
      },
      addressee: () => this.#hubs.get(client.address) ?? null,
      onSent: (message) => this.#sent(node, message, pushed),
    });
    this.#streams = this.#streams.filter(({ stream }) => !stream.isClosed);
    this.#streams.push({ stream, node });
    return stream;
  }

  #sent(node: SimulatedNode, message: NodeMessage, pushed: ReadonlySet<number>): void {
    this.#trace(`${node.id} >  ${told(message)}`);
    if (message?.case === "ack") {
      const { publication, stateHash } = message.value;
      this.counts.acks++;
      if (!pushed.has(Number(publication))) this.counts.lateAcks++;
      if (node.served === null || !isSameHash(stateHash ?? new Uint8Array(), node.served.stateHash))
        this.fail(`${node.id} acks ${publication} and does not serve it`);
      // The same content may have been offered under another number.
      else this.#everServed.get(node.id)!.add(`${publication} ${Buffer.from(stateHash!).toString("latin1")}`);
    } else if (message?.case === "nack") {
      const { reason = "", publication } = message.value;
      if (reason === "unknown_base") this.counts.unknownBases++;
      if (IMPOSSIBLE_REASONS.has(reason)) this.fail(`${node.id} nacks ${publication}: ${reason}`);
    }
  }

  #refusal(id: string, { entities }: ReceivedSnapshot): Refusal | null {
    const poisoned = this.#pickyNodes.has(id) ? entities.find(({ body }) => isPoisoned(body)) : undefined;
    const isMishap = this.#isChaos && this.random() < 0.05;
    if (poisoned === undefined && !isMishap) return null;
    this.counts.refusals++;
    return poisoned === undefined ? refusalOf("worker_failed") : refusalOf("invalid_entity", poisoned.id);
  }

  #served(node: SimulatedNode, snapshot: ReceivedSnapshot, how: "applied" | "went back" | "restored"): void {
    const { epoch, publication, entities, stateHash } = snapshot;
    this.#trace(`${node.id}    ${how} ${nameOf(snapshot)}`);
    const published = this.#store.published(node.id, epoch.counter, publication);
    if (!published.some((content) => isContent(entities, content)))
      this.fail(`${node.id} serves as ${nameOf(snapshot)} what was never published`);
    const last = this.#last.get(node.id);
    const isLater =
      last === undefined ||
      epoch.counter > last.epoch.counter ||
      (epoch.counter === last.epoch.counter && publication > last.publication);
    if (how === "applied" && !isLater) this.fail(`${node.id} goes from ${nameOf(last!)} to ${nameOf(snapshot)}`);
    this.#last.set(node.id, snapshot);
    this.#everServed.get(node.id)!.add(`${publication} ${Buffer.from(stateHash).toString("latin1")}`);
  }

  /** No control plane believes of a node what was never so. */
  #checkBeliefs(): void {
    for (const hub of this.#hubs.values()) {
      if (hub?.hasHeard !== true) continue;
      hub.hasHeard = false;
      for (const { id, isConnected, publication, stateHash, lastNack } of hub.nodes) {
        if (lastNack !== null && IMPOSSIBLE_REASONS.has(lastNack.reason)) this.fail(`${id}: ${lastNack.message}`);
        if (!isConnected || publication === 0) continue;
        // A node that went back to what its control plane no longer knows: the number is known, the hash is not.
        if (stateHash.length === 0) continue;
        const belief = `${publication} ${Buffer.from(stateHash).toString("latin1")}`;
        if (!this.#everServed.get(id)!.has(belief)) this.fail(`${id} is believed to serve ${publication}`);
      }
    }
  }

  /** Whether a node would not take what it is to serve now, be it under another number. */
  #hasRefusedNewest({ id, refused }: SimulatedNode): boolean {
    const newest = this.#store.meantFor(id);
    return [...refused].some((name) => {
      const [epochCounter, publication] = name.split("/").map(Number);
      if (epochCounter !== this.#store.epoch.counter) return false;
      return this.#store
        .published(id, epochCounter, publication!)
        .some((content) => isContent([...content.values()], newest));
    });
  }

  /** Returns the name of what it serves. */
  #checkHasMeant({ id, served }: SimulatedNode): string {
    const held = served === null ? "nothing" : nameOf(served);
    const isOfThis = served?.epoch.counter === this.#store.epoch.counter;
    if (isOfThis && isContent(served.entities, this.#store.meantFor(id))) return held;
    throw new SimulationFailure(`in the end ${id} serves ${held}, the newest is ${this.#newestName()}`);
  }

  #checkIsUpToDate(node: SimulatedNode): void {
    const held = this.#checkHasMeant(node);
    if (held !== this.#newestName()) this.counts.unconcerned++;
    const knowing = [...this.#hubs.values()].filter((hub) =>
      hub?.nodes.some(({ id, isConnected, lag }) => id === node.id && isConnected && lag === 0),
    );
    if (knowing.length !== 1)
      throw new SimulationFailure(`in the end ${knowing.length} control planes know ${node.id} as up to date`);
  }

  #newestName(): string {
    return nameOf({ epoch: this.#store.epoch, publication: this.#store.newest.publication });
  }

  #anyStream() {
    this.#streams = this.#streams.filter(({ stream }) => !stream.isClosed);
    return this.#streams.length === 0 ? undefined : this.#oneOf(this.#streams);
  }

  #oneOf<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  #below(count: number): number {
    return Math.floor(this.random() * count);
  }
}
