import { type CapabilityRow, capabilitiesNeeded, capabilityTable } from "../resource/capability-table.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { SNAPSHOT_KINDS } from "./build-snapshot.ts";

/** What of the configuration a node's program cannot do. */
export interface UnsupportedFeature {
  readonly capability: string;
  /** In a few words. */
  readonly feature: string;
  readonly entityCount: number;
  /** The first of them. */
  readonly entities: readonly UnsupportedEntity[];
}

export interface UnsupportedEntity {
  readonly kind: StoredKind;
  readonly id: string;
  /** "" where it has none. */
  readonly name: string;
  /** Dotted path; "" where it is the kind itself. */
  readonly field: string;
}

/** Of each feature, so many resources are named. */
const entityMaxCount = 20;

const known: ReadonlySet<string> = new Set(capabilityTable.map(({ capability }) => capability));

/**
 * What the configuration needs of nodes, held against what they can do.
 *
 * Cost: nothing while every node can do all that there is; else a look at every resource once per publication, some 3 ms
 * for 20,000.
 */
export class VersionSkew {
  readonly #image: ResourceImage;
  readonly #needed = new WeakMap<StoredResource, readonly CapabilityRow[]>();
  #features: ReadonlyMap<string, UnsupportedFeature> = new Map();
  #featuresOf: number | null = null;

  constructor(image: ResourceImage) {
    this.#image = image;
  }

  /** Whether a node with these capabilities can do all that there is, be it used or not. */
  canAll(capabilities: readonly string[]): boolean {
    const able = new Set(capabilities);
    return [...known].every((capability) => able.has(capability));
  }

  /** What a node with these capabilities takes no notice of, in the order of its first resource. */
  unsupportedBy(capabilities: readonly string[]): readonly UnsupportedFeature[] {
    if (this.canAll(capabilities)) return [];
    const able = new Set(capabilities);
    return [...this.#used().values()].filter(({ capability }) => !able.has(capability));
  }

  /** What a resource needs. */
  neededBy(resource: StoredResource): readonly CapabilityRow[] {
    const before = this.#needed.get(resource);
    if (before !== undefined) return before;
    const needed = capabilitiesNeeded(resource.kind, resource.message);
    this.#needed.set(resource, needed);
    return needed;
  }

  #used(): ReadonlyMap<string, UnsupportedFeature> {
    const { publication } = this.#image;
    if (this.#featuresOf === publication) return this.#features;
    const found = new Map<string, { feature: string; entityCount: number; entities: UnsupportedEntity[] }>();
    for (const kind of SNAPSHOT_KINDS) {
      for (const resource of this.#image.all(kind)) {
        for (const { capability, feature, path } of this.neededBy(resource)) {
          const of = found.get(capability) ?? { feature, entityCount: 0, entities: [] };
          found.set(capability, of);
          of.entityCount++;
          if (of.entities.length < entityMaxCount) of.entities.push(entityOf(resource, path));
        }
      }
    }
    this.#features = new Map([...found].map(([capability, one]) => [capability, { capability, ...one }]));
    this.#featuresOf = publication;
    return this.#features;
  }
}

function entityOf({ kind, id, message }: StoredResource, field: string): UnsupportedEntity {
  return { kind, id, name: nameOf(message), field };
}

/** A target has no name but its address. */
function nameOf(message: object): string {
  const { name, target } = message as { name?: unknown; target?: unknown };
  if (typeof name === "string") return name;
  return typeof target === "string" ? target : "";
}
