import { create, toBinary } from "@bufbuild/protobuf";
import type { StoredKind } from "../../control-plane/resource/checked.ts";
import type { NodeLabels } from "../../control-plane/resource/node-selector.ts";
import { orderWrite } from "../../control-plane/rollout/rollout-order.ts";
import { decodeResource } from "../../control-plane/store/decode-resource.ts";
import type { ResourceImage, StoredResource } from "../../control-plane/store/resource-image.ts";
import type {
  Commit,
  LoggedChange,
  ResourceWrite,
  StoreEpoch,
  TransactOutcome,
} from "../../control-plane/store/store.ts";
import { NodeIdentitySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import {
  type Content,
  isPoisoned,
  meantContent,
  noStages,
  reachedBy,
  type Stages,
  stagesAfter,
  type Zone,
} from "./meant-content.ts";
import type { SimulatedClock } from "./simulated-time.ts";

type QuarantineRow = StoredResource<"quarantine"> & { readonly uniqueKeys: readonly string[] };
type Mode = Parameters<typeof orderWrite>[1];

const labelsOfZone: { readonly [Z in Zone]: NodeLabels } = { "": {}, eu: { zone: "eu" }, us: { zone: "us" } };

/** A state of the store; its number is both revision and publication. */
export interface SimulatedCommit {
  readonly publication: number;
  readonly content: Content;
  /** Of the nodes. */
  readonly zones: ReadonlyMap<string, Zone>;
  readonly quarantines: ReadonlyMap<string, QuarantineRow>;
  /** What there is one of: the decision on the rollout, the policy, the last order. */
  readonly singles: ReadonlyMap<string, StoredResource>;
  readonly changes: readonly LoggedChange[];
  readonly stages: Stages;
  /** What nodes have that are not reached, and those that are; null: nothing is rolled out. */
  readonly baseline: Content;
  readonly candidate: Content | null;
}

type Changed = Partial<Pick<SimulatedCommit, "content" | "zones" | "quarantines" | "singles">>;
type ChangedBody = Pick<LoggedChange, "kind" | "id" | "before" | "after">;

/** A store of upstreams: every state that it ever had, and its incarnations. */
export class SimulatedStore {
  epoch: StoreEpoch = { counter: 1, id: Buffer.alloc(16, 1) };
  /** Oldest first; from before this incarnation those of which the backup has the history. */
  commits: SimulatedCommit[];
  readonly #listeners = new Set<(commit: SimulatedCommit) => void>();
  /** What is compared with what nodes serve, by epoch and publication. */
  readonly #published = new Map<string, SimulatedCommit>();
  /** Whom each rollout has reached so far, by epoch and number. */
  readonly #reached = new Map<string, Set<string> | "all">();
  #bodyCount = 0;

  constructor(upstreamCount: number) {
    const content = new Map<string, StoredResource>();
    for (let i = 0; i < upstreamCount; i++) content.set(`u${i}`, this.#resource(`u${i}`, 1, ""));
    const nothing = { zones: new Map(), quarantines: new Map(), singles: new Map(), changes: [], stages: noStages };
    this.commits = [{ publication: 1, content, ...nothing, baseline: content, candidate: null }];
    this.#remember(this.newest);
  }

  get newest(): SimulatedCommit {
    return this.commits.at(-1)!;
  }

  /** @param zone only nodes that are there get it; "" for every node @param order how it is to go; null: as the policy says */
  put(id: string, zone: Zone, tag = "", order: Mode | null = null): void {
    const resource = this.#resource(id, this.newest.publication + 1, zone, tag);
    const { content } = this.newest;
    const change = { kind: "upstream", id, before: content.get(id)?.body ?? null, after: resource.body } as const;
    this.#commit({ content: new Map(content).set(id, resource) }, [change], order);
  }

  /** Other labels for a node: no content changes, and it is a publication. */
  move(nodeId: string, zone: Zone): void {
    const body = (at: Zone) => toBinary(NodeIdentitySchema, create(NodeIdentitySchema, { labels: labelsOfZone[at] }));
    const before = body(this.newest.zones.get(nodeId) ?? "");
    const change = { kind: "node_identity", id: nodeId, before, after: body(zone) } as const;
    this.#commit({ zones: new Map(this.newest.zones).set(nodeId, zone) }, [change]);
  }

  /** Puts something good in the place of all that is poisoned. */
  mend(): void {
    for (const { id, body } of this.newest.content.values()) if (isPoisoned(body)) this.put(id, "");
  }

  /** Removes an upstream if it is there. */
  remove(id: string): void {
    const content = new Map(this.newest.content);
    const before = content.get(id)?.body;
    if (before === undefined) return;
    content.delete(id);
    this.#commit({ content }, [{ kind: "upstream", id, before, after: null }]);
  }

  /**
   * Goes back to a backup: an older state, as a new incarnation. Of its history there is nothing, or all where a rollout
   * needs it: it lies in the same file.
   */
  restore(commit: SimulatedCommit): void {
    const counter = this.epoch.counter + 1;
    this.epoch = { counter, id: Buffer.alloc(16, counter) };
    const hasRollout = commit.singles.has("rollout");
    this.commits = hasRollout ? this.commits.slice(0, this.commits.indexOf(commit) + 1) : [commit];
    for (const known of this.commits) {
      this.#remember(known);
      this.#noteReached(known.changes);
    }
  }

  /** Whether some node is not to have all that is stored, or would not be after the next write. */
  get isHeld(): boolean {
    const { baselineAt, isStagedByPolicy } = this.newest.stages;
    return baselineAt !== null || isStagedByPolicy;
  }

  /** What a node may serve under a number; none when nothing was published. */
  published(nodeId: string, epochCounter: number, publication: number): readonly Content[] {
    const commit = this.#published.get(`${epochCounter}/${publication}`);
    if (commit === undefined) return [];
    const { baseline, candidate, quarantines, zones, stages } = commit;
    const zone = zones.get(nodeId) ?? "";
    const meant = (content: Content) => meantContent(content, quarantines.values(), zone);
    if (candidate === null || !this.#isReached(nodeId, epochCounter, stages.number)) return [meant(baseline)];
    return [meant(baseline), meant(candidate)];
  }

  /** What a node is to serve in the end, if nothing more happens. */
  meantFor(nodeId: string): Content {
    const { baseline, candidate, quarantines, zones, stages } = this.newest;
    const isReached = candidate !== null && this.#isReached(nodeId, this.epoch.counter, stages.number);
    return meantContent(isReached ? candidate : baseline, quarantines.values(), zones.get(nodeId) ?? "");
  }

  #isReached(nodeId: string, epochCounter: number, number: bigint): boolean {
    const reached = this.#reached.get(`${epochCounter}/${number}`);
    return reached === "all" || reached?.has(nodeId) === true;
  }

  /** The store as one control plane sees it, a while after each commit: none is left out, and they come in order. */
  replica(clock: SimulatedClock, lagMs: () => number) {
    const { epoch } = this;
    let current = this.newest;
    let arrivesAtMs = 0;
    const listeners = new Set<(commit: Commit) => void>();
    const follow = (commit: SimulatedCommit) => {
      if (this.epoch !== epoch) return;
      arrivesAtMs = Math.max(arrivesAtMs, clock.monotonicMs() + lagMs());
      clock.at(arrivesAtMs, () => {
        const { publication, changes } = commit;
        if (publication !== current.publication + 1) throw new Error(`${publication} after ${current.publication}`);
        current = commit;
        for (const listener of listeners) listener({ revision: publication, publication, changes });
      });
    };
    this.#listeners.add(follow);
    const image: ResourceImage = {
      get revision() {
        return current.publication;
      },
      get publication() {
        return current.publication;
      },
      get: (kind, id) => rowsOf(current, kind).get(id) as never,
      getByKey: () => undefined,
      all: (kind) => rowsOf(current, kind).values() as never,
      count: (kind) => rowsOf(current, kind).size,
      referrers: () => [],
      bodyBytes: 0,
    };
    const onCommit = (listener: (commit: Commit) => void) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) this.#listeners.delete(follow);
      };
    };
    const labelsOf = (nodeId: string) => labelsOfZone[current.zones.get(nodeId) ?? ""];
    /** A write to the one store that all replicas read, decided there, and told when it has come here. */
    const transact = (writes: readonly ResourceWrite[]) =>
      new Promise<TransactOutcome>((resolve) => {
        const unavailable = { type: "unavailable", message: "restored" } as const;
        clock.after(lagMs(), () => {
          const outcome =
            this.epoch === epoch ? this.#transact(writes) : ({ ok: false, conflict: unavailable } as const);
          // After it has come, which was planned first.
          clock.at(arrivesAtMs, () => resolve(outcome));
        });
      });
    const readChanges = async (after: number) => this.#changesAfter(after);
    return { store: { epoch, image, onCommit, transact, readChanges }, labelsOf };
  }

  #transact(writes: readonly ResourceWrite[]): TransactOutcome {
    const quarantines = new Map(this.newest.quarantines);
    const singles = new Map(this.newest.singles);
    const publication = this.newest.publication + 1;
    const changes: ChangedBody[] = [];
    for (const [index, { kind, id, operation, body, expectedRevision, uniqueKeys }] of writes.entries()) {
      const before = kind === "quarantine" ? quarantines.get(id) : singles.get(kind);
      const isTaken = [...quarantines.values()].some((row) => row.uniqueKeys.some((key) => uniqueKeys.includes(key)));
      if (operation === "create" && isTaken)
        return { ok: false, conflict: { type: "duplicate_key", write: index, key: uniqueKeys[0]! } };
      const isAsExpected = expectedRevision === null || before?.revision === expectedRevision;
      if ((operation !== "create") !== (before !== undefined) || !isAsExpected)
        return { ok: false, conflict: { type: "revision", write: index } };
      const after = operation === "delete" ? null : body;
      changes.push({ kind, id, before: before?.body ?? null, after });
      if (after === null) quarantines.delete(id);
      else if (kind === "quarantine") quarantines.set(id, { ...rowOf(kind, id, publication, after), uniqueKeys });
      else singles.set(kind, rowOf(kind, id, publication, after));
    }
    this.#commit({ quarantines, singles }, changes);
    return { ok: true, revision: publication, publication };
  }

  /** null from before what is known. */
  #changesAfter(revision: number): readonly LoggedChange[] | null {
    if (revision < this.commits[0]!.publication) return null;
    return this.commits.flatMap(({ publication, changes }) => (publication <= revision ? [] : changes));
  }

  #commit(changed: Changed, bodies: readonly ChangedBody[], order: Mode | null = null): void {
    const { newest } = this;
    const publication = newest.publication + 1;
    const all = [...bodies];
    const singles = new Map(changed.singles ?? newest.singles);
    if (order !== null) {
      const before = singles.get("rollout_order");
      const { kind, id, body } = orderWrite({ image: { get: () => before } as never }, order);
      singles.set(kind, rowOf(kind, id, publication, body));
      all.push({ kind, id, before: before?.body ?? null, after: body });
    }
    const changes = all.map((body) => loggedChange(publication, body));
    const stages = stagesAfter(newest.stages, newest.publication, publication, changes);
    const content = changed.content ?? newest.content;
    const contentAt = (at: number) =>
      at === publication ? content : this.commits.find((commit) => commit.publication === at)!.content;
    const commit: SimulatedCommit = {
      ...{ ...newest, ...changed, singles, publication, changes, stages },
      baseline: stages.baselineAt === null ? content : contentAt(stages.baselineAt),
      candidate: stages.candidateAt === null ? null : contentAt(stages.candidateAt),
    };
    this.commits.push(commit);
    this.#remember(commit);
    this.#noteReached(changes);
    for (const listener of this.#listeners) listener(commit);
  }

  #remember(commit: SimulatedCommit): void {
    this.#published.set(`${this.epoch.counter}/${commit.publication}`, commit);
  }

  #noteReached(changes: readonly LoggedChange[]): void {
    const reached = reachedBy(changes);
    if (reached === null) return;
    const name = `${this.epoch.counter}/${reached.number}`;
    const known = this.#reached.get(name) ?? new Set<string>();
    if (reached.nodeIds === "all" || known === "all") this.#reached.set(name, "all");
    else this.#reached.set(name, new Set([...known, ...reached.nodeIds]));
  }

  /** No two bodies are equal. */
  #resource(id: string, revision: number, zone: Zone, tag = ""): StoredResource {
    const tags = [`body ${++this.#bodyCount}`, "x".repeat(40), ...(tag === "" ? [] : [tag])];
    const nodeSelector = zone === "" ? [] : [`zone=${zone}`];
    const message = create(UpstreamSchema, { id, name: id, tags, nodeSelector });
    return { kind: "upstream", id, revision, body: toBinary(UpstreamSchema, message), message };
  }
}

function rowOf<K extends StoredKind>(kind: K, id: string, revision: number, body: Uint8Array): StoredResource<K> {
  return { kind, id, revision, body, message: decodeResource(kind, body) } as StoredResource<K>;
}

function loggedChange(publication: number, { kind, id, before, after }: ChangedBody): LoggedChange {
  const operation = before === null ? "create" : after === null ? "delete" : "update";
  return { revision: publication, publication, kind, id, operation, before, after, atUnixMs: 0 };
}

function rowsOf({ content, quarantines, singles }: SimulatedCommit, kind: string): ReadonlyMap<string, StoredResource> {
  if (kind === "upstream") return content;
  if (kind === "quarantine") return quarantines;
  const single = singles.get(kind);
  return new Map(single === undefined ? [] : [[single.id, single]]);
}
