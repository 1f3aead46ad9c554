import { type UnsupportedFeature, VersionSkew } from "../snapshot/version-skew.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { Commit } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { NodeFacts } from "./read-hello.ts";

/** Nodes that are named in a line of the log. */
const loggedMaxCount = 10;

/** Who of the connected nodes is too old for parts of the configuration; logs that before anything is pushed to them. */
export class SkewWatch {
  readonly #image: ResourceImage;
  readonly #log: Pick<Log, "warn">;
  readonly #skew: VersionSkew;
  /** Connected nodes that lack something, be it used or not. None, mostly: then nothing here costs anything. */
  readonly #old = new Map<string, NodeFacts>();
  /** Capabilities that the log told of since an old node came last. */
  readonly #told = new Set<string>();

  constructor(image: ResourceImage, log: Pick<Log, "warn">) {
    this.#image = image;
    this.#log = log;
    this.#skew = new VersionSkew(image);
  }

  unsupportedBy(capabilities: readonly string[]): readonly UnsupportedFeature[] {
    return this.#skew.unsupportedBy(capabilities);
  }

  connected(facts: NodeFacts): void {
    const { id, build, capabilities } = facts;
    if (this.#skew.canAll(capabilities)) {
      this.#old.delete(id);
      return;
    }
    this.#old.set(id, facts);
    this.#told.clear();
    const unsupported = this.#skew.unsupportedBy(capabilities);
    if (unsupported.length > 0)
      this.#log.warn({ node: id, build, unsupported }, "a node is too old for parts of the configuration");
  }

  disconnected(nodeId: string): void {
    this.#old.delete(nodeId);
  }

  /** Looks at what a commit changes. */
  committed({ changes }: Commit): void {
    if (this.#old.size === 0) return;
    for (const { kind, id } of changes) {
      const resource = this.#image.get(kind, id);
      if (resource === undefined) continue;
      for (const { capability, feature, path: field } of this.#skew.neededBy(resource)) {
        if (this.#told.has(capability)) continue;
        const nodes = this.whoLacks(capability);
        if (nodes.length === 0) continue;
        this.#told.add(capability);
        const named = nodes.slice(0, loggedMaxCount).map((node) => node.id);
        const told = { kind, id, field, capability, feature, nodes: named, nodeCount: nodes.length };
        this.#log.warn(told, "a change needs what nodes are too old for");
      }
    }
  }

  /** The connected nodes without a capability, by id. */
  whoLacks(capability: string): readonly NodeFacts[] {
    return [...this.#old.values()]
      .filter(({ capabilities }) => !capabilities.includes(capability))
      .sort((left, right) => (left.id < right.id ? -1 : 1));
  }
}
