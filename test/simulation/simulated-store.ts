import { create, toBinary } from "@bufbuild/protobuf";
import type { NodeLabels } from "../../control-plane/resource/node-selector.ts";
import { decodeResource } from "../../control-plane/store/decode-resource.ts";
import type { ResourceImage, StoredResource } from "../../control-plane/store/resource-image.ts";
import type {
  Commit,
  LoggedChange,
  ResourceWrite,
  StoreEpoch,
  TransactOutcome,
} from "../../control-plane/store/store.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { SimulatedClock } from "./simulated-time.ts";

type Content = ReadonlyMap<string, StoredResource>;
type QuarantineRow = StoredResource<"quarantine"> & { readonly uniqueKeys: readonly string[] };

/** In the bodies of upstreams that picky nodes refuse. */
export const POISON = "poison";

/** Where a node is said to be, and which nodes get an upstream; "" for nowhere, and for every node. */
export type Zone = "" | "eu" | "us";

const labelsOfZone: { readonly [Z in Zone]: NodeLabels } = { "": {}, eu: { zone: "eu" }, us: { zone: "us" } };

/** A state of the store; its number is both revision and publication. */
export interface SimulatedCommit {
  readonly publication: number;
  readonly content: Content;
  /** Of the nodes. */
  readonly zones: ReadonlyMap<string, Zone>;
  readonly quarantines: ReadonlyMap<string, QuarantineRow>;
}

/** A store of upstreams: every state that it ever had, and its incarnations. */
export class SimulatedStore {
  epoch: StoreEpoch = { counter: 1, id: Buffer.alloc(16, 1) };
  /** Of this incarnation, oldest first. */
  commits: SimulatedCommit[];
  readonly #listeners = new Set<(commit: SimulatedCommit) => void>();
  /** The texts that are compared with what nodes serve, by epoch and publication. */
  readonly #published = new Map<string, SimulatedCommit>();
  #bodyCount = 0;

  constructor(upstreamCount: number) {
    const content = new Map<string, StoredResource>();
    for (let i = 0; i < upstreamCount; i++) content.set(`u${i}`, this.#resource(`u${i}`, 1, ""));
    this.commits = [{ publication: 1, content, zones: new Map(), quarantines: new Map() }];
    this.#remember(this.newest);
  }

  get newest(): SimulatedCommit {
    return this.commits.at(-1)!;
  }

  /** @param zone only nodes that are there get it; "" for every node */
  put(id: string, zone: Zone, tag = ""): void {
    const resource = this.#resource(id, this.newest.publication + 1, zone, tag);
    this.#commit({ content: new Map(this.newest.content).set(id, resource) });
  }

  /** Other labels for a node: no content changes, and it is a publication. */
  move(nodeId: string, zone: Zone): void {
    this.#commit({ zones: new Map(this.newest.zones).set(nodeId, zone) });
  }

  /** Puts something good in the place of all that is poisoned. */
  mend(): void {
    for (const { id, body } of this.newest.content.values()) if (isPoisoned(body)) this.put(id, "");
  }

  /** Removes an upstream if it is there. */
  remove(id: string): void {
    const content = new Map(this.newest.content);
    if (content.delete(id)) this.#commit({ content });
  }

  /** Goes back to a backup: an older state, as a new incarnation. */
  restore(commit: SimulatedCommit): void {
    const counter = this.epoch.counter + 1;
    this.epoch = { counter, id: Buffer.alloc(16, counter) };
    this.commits = [commit];
    this.#remember(commit);
  }

  /** What was published for a node under a number; undefined when nothing was. */
  published(nodeId: string, epochCounter: number, publication: number): Content | undefined {
    const commit = this.#published.get(`${epochCounter}/${publication}`);
    if (commit === undefined) return undefined;
    const zone = commit.zones.get(nodeId) ?? "";
    const given = new Map<string, StoredResource>();
    for (const [id, upstream] of meantContent(commit)) {
      const meant = zoneOf(upstream);
      if (meant === "" || meant === zone) given.set(id, upstream);
    }
    return given;
  }

  /** The store as one control plane sees it, a while after each commit. */
  replica(clock: SimulatedClock, lagMs: () => number) {
    const { epoch } = this;
    let current = this.newest;
    let arrivesAtMs = 0;
    const listeners = new Set<(commit: Commit) => void>();
    const follow = (commit: SimulatedCommit) => {
      if (this.epoch !== epoch) return;
      arrivesAtMs = Math.max(arrivesAtMs, clock.monotonicMs() + lagMs());
      clock.after(arrivesAtMs - clock.monotonicMs(), () => {
        const { publication } = commit;
        // Two that arrive at one moment may change places by a rounding of it, which no store's replica does.
        if (publication <= current.publication) return;
        current = commit;
        for (const listener of listeners) listener({ revision: publication, publication, changes: [] });
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
        this.#listeners.delete(follow);
      };
    };
    const labelsOf = (nodeId: string) => labelsOfZone[current.zones.get(nodeId) ?? ""];
    /** A write to the one store that all replicas read, decided there. */
    const transact = (writes: readonly ResourceWrite[]) =>
      new Promise<TransactOutcome>((resolve) => {
        const unavailable = { type: "unavailable", message: "restored" } as const;
        const decide = () =>
          resolve(this.epoch === epoch ? this.#transact(writes) : { ok: false, conflict: unavailable });
        clock.after(lagMs(), decide);
      });
    const readChanges = async (after: number) => this.#changesAfter(after);
    return { store: { epoch, image, onCommit, transact, readChanges }, labelsOf };
  }

  #transact(writes: readonly ResourceWrite[]): TransactOutcome {
    const quarantines = new Map(this.newest.quarantines);
    const publication = this.newest.publication + 1;
    for (const [index, { id, operation, body, expectedRevision, uniqueKeys }] of writes.entries()) {
      const before = quarantines.get(id);
      const isTaken = [...quarantines.values()].some((row) => row.uniqueKeys.some((key) => uniqueKeys.includes(key)));
      if (operation === "create" && isTaken)
        return { ok: false, conflict: { type: "duplicate_key", write: index, key: uniqueKeys[0]! } };
      if (operation !== "create" && before?.revision !== expectedRevision)
        return { ok: false, conflict: { type: "revision", write: index } };
      const message = decodeResource("quarantine", body);
      if (operation === "delete") quarantines.delete(id);
      else quarantines.set(id, { kind: "quarantine", id, revision: publication, body, message, uniqueKeys });
    }
    this.#commit({ quarantines });
    return { ok: true, revision: publication, publication };
  }

  /** null from before this incarnation. */
  #changesAfter(revision: number): readonly LoggedChange[] | null {
    if (revision < this.commits[0]!.publication) return null;
    const changes: LoggedChange[] = [];
    for (const [index, { publication, content }] of this.commits.entries()) {
      if (publication <= revision) continue;
      const last = this.commits[index - 1]!.content;
      for (const id of new Set([...last.keys(), ...content.keys()])) {
        const [before, after] = [last.get(id)?.body ?? null, content.get(id)?.body ?? null];
        const operation = before === null ? "create" : after === null ? "delete" : "update";
        if (before === after) continue;
        changes.push({
          ...{ revision: publication, publication, kind: "upstream", id, operation, before, after },
          atUnixMs: 0,
        });
      }
    }
    return changes;
  }

  #commit(changed: Partial<SimulatedCommit>): void {
    const commit = { ...this.newest, ...changed, publication: this.newest.publication + 1 };
    this.commits.push(commit);
    this.#remember(commit);
    for (const listener of this.#listeners) listener(commit);
  }

  #remember(commit: SimulatedCommit): void {
    this.#published.set(`${this.epoch.counter}/${commit.publication}`, commit);
  }

  /** No two bodies are equal. */
  #resource(id: string, revision: number, zone: Zone, tag = ""): StoredResource {
    const tags = [`body ${++this.#bodyCount}`, "x".repeat(40), ...(tag === "" ? [] : [tag])];
    const nodeSelector = zone === "" ? [] : [`zone=${zone}`];
    const message = create(UpstreamSchema, { id, name: id, tags, nodeSelector });
    return { kind: "upstream", id, revision, body: toBinary(UpstreamSchema, message), message };
  }
}

/** Of every body ever made: they are asked for again and again. */
const zones = new WeakMap<Uint8Array, Zone>();

/** As its body says it. */
function zoneOf({ body }: StoredResource): Zone {
  let zone = zones.get(body);
  if (zone === undefined) {
    const [selector = ""] = decodeResource("upstream", body).nodeSelector;
    zone = selector.replace("zone=", "") as Zone;
    zones.set(body, zone);
  }
  return zone;
}

export function isPoisoned(body: Uint8Array): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(POISON);
}

function rowsOf({ content, quarantines }: SimulatedCommit, kind: string): ReadonlyMap<string, StoredResource> {
  return kind === "upstream" ? content : kind === "quarantine" ? quarantines : new Map();
}

/**
 * What nodes are meant to serve of a state, said once more and plainly: of each upstream whose stored version is held
 * back, what its newest quarantine has in its place. Nothing refers to an upstream here, so nothing depends on another.
 */
function meantContent({ content, quarantines }: SimulatedCommit): Content {
  const meant = new Map(content);
  for (const { message } of [...quarantines.values()].sort((left, right) => left.revision - right.revision)) {
    for (const { id, refusedRevision, goodBody } of message.entities) {
      if ((content.get(id)?.revision ?? 0) !== Number(refusedRevision)) continue;
      if (goodBody === undefined) meant.delete(id);
      else meant.set(id, { kind: "upstream", id, revision: 0, body: goodBody, message: {} as never });
    }
  }
  return meant;
}
