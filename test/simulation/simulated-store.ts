import type { NodeLabels } from "../../control-plane/resource/node-selector.ts";
import type { ResourceImage, StoredResource } from "../../control-plane/store/resource-image.ts";
import type { Commit, StoreEpoch } from "../../control-plane/store/store.ts";
import type { SimulatedClock } from "./simulated-time.ts";

type Content = ReadonlyMap<string, StoredResource>;

/** Where a node is said to be, and which nodes get an upstream; "" for nowhere, and for every node. */
export type Zone = "" | "eu" | "us";

const labelsOfZone: { readonly [Z in Zone]: NodeLabels } = { "": {}, eu: { zone: "eu" }, us: { zone: "us" } };

/** A state of the store; its number is both revision and publication. */
export interface SimulatedCommit {
  readonly publication: number;
  readonly content: Content;
  /** Of the nodes. */
  readonly zones: ReadonlyMap<string, Zone>;
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
    this.commits = [{ publication: 1, content, zones: new Map() }];
    this.#remember(this.newest);
  }

  get newest(): SimulatedCommit {
    return this.commits.at(-1)!;
  }

  /** @param zone only nodes that are there get it; "" for every node */
  put(id: string, zone: Zone): void {
    const resource = this.#resource(id, this.newest.publication + 1, zone);
    this.#commit({ content: new Map(this.newest.content).set(id, resource) });
  }

  /** Other labels for a node: no content changes, and it is a publication. */
  move(nodeId: string, zone: Zone): void {
    this.#commit({ zones: new Map(this.newest.zones).set(nodeId, zone) });
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
    return new Map(
      [...commit.content].filter(([, upstream]) => [[], [`zone=${zone}`]].some((one) => isSelector(upstream, one))),
    );
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
      get: (kind, id) => (kind === "upstream" ? (current.content.get(id) as never) : undefined),
      getByKey: () => undefined,
      all: (kind) => (kind === "upstream" ? (current.content.values() as never) : []),
      count: (kind) => (kind === "upstream" ? current.content.size : 0),
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
    return { store: { epoch, image, onCommit }, labelsOf };
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

  /** No two bodies are equal. Its message is read for its selector and for references, of which it has none. */
  #resource(id: string, revision: number, zone: Zone): StoredResource {
    const body = Buffer.from(`${id}, body ${++this.#bodyCount}, ${"x".repeat(40)}`);
    const nodeSelector = zone === "" ? [] : [`zone=${zone}`];
    return { kind: "upstream", id, revision, body, message: { name: id, nodeSelector } as never };
  }
}

function isSelector({ message }: StoredResource, selector: readonly string[]): boolean {
  return JSON.stringify((message as { nodeSelector?: string[] }).nodeSelector) === JSON.stringify(selector);
}
