import type { ConfiguredTarget, HealthState, MergedEndpoint, MergedPool } from "../observation/merge-health.ts";
import { type NodeViews, servicePool, upstreamPool } from "../observation/node-views.ts";
import type { Checked } from "../resource/checked.ts";
import { type EffectiveResilience, effectiveResilience } from "../resource/effective-resilience.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { findResource } from "./find-resource.ts";
import { services } from "./services.ts";
import { upstreams } from "./upstreams.ts";

export interface UpstreamHealth {
  readonly id: string;
  readonly name: string;
  /** Its targets are newest first. */
  readonly merged: MergedPool;
  readonly effective: EffectiveResilience;
}

export interface ServiceHealth {
  readonly id: string;
  readonly state: HealthState;
  readonly endpoints: readonly MergedEndpoint[];
}

/** What the nodes see, beside what is configured. */
export interface HealthReader {
  /** By id or name; not_found. */
  upstream(key: string): Checked<UpstreamHealth>;
  /** What the nodes see of the host of a service that is no upstream's name; by id or name; not_found. */
  service(key: string): Checked<ServiceHealth>;
}

export function healthReader(image: ResourceImage, views: Pick<NodeViews, "ofPool">): HealthReader {
  const configured = new ConfiguredTargets(image);
  return {
    upstream(key) {
      const found = findResource(image, upstreams, { key });
      if (!found.ok) return found;
      const { id, message } = found.value;
      const effective = effectiveResilience(message);
      const threshold = effective.resilience.panic?.threshold ?? 0;
      const merged = views.ofPool(upstreamPool(id)).merge(configured.of(found.value), threshold);
      return { ok: true, value: { id, name: message.name, merged, effective } };
    },
    service(key) {
      const found = findResource(image, services, { key });
      if (!found.ok) return found;
      const { id } = found.value;
      return { ok: true, value: { id, ...views.ofPool(servicePool(id)).mergeHost() } };
    },
  };
}

/** The targets of upstreams, newest first; put in order again only where one has changed. */
class ConfiguredTargets {
  readonly #image: ResourceImage;
  readonly #known = new WeakMap<StoredResource<"upstream">, KnownTargets>();

  constructor(image: ResourceImage) {
    this.#image = image;
  }

  of(upstream: StoredResource<"upstream">): readonly ConfiguredTarget[] {
    const stored = [...this.#image.referrers("target", "upstream", upstream.id)];
    const known = this.#known.get(upstream);
    // What is stored is replaced when it changes.
    if (known?.stored.length === stored.length && known.stored.every((one, i) => one === stored[i]))
      return known.targets;
    const targets = newestFirst(stored).map(({ message: { id, target, weight = 0 } }) => ({ id, target, weight }));
    this.#known.set(upstream, { stored, targets });
    return targets;
  }
}

interface KnownTargets {
  readonly stored: readonly StoredResource<"target">[];
  readonly targets: readonly ConfiguredTarget[];
}

function newestFirst(targets: readonly StoredResource<"target">[]): readonly StoredResource<"target">[] {
  const createdMs = ({ message: { createdAt } }: StoredResource<"target">) =>
    Number(createdAt?.seconds ?? 0n) * 1e3 + Math.floor((createdAt?.nanos ?? 0) / 1e6);
  return targets.toSorted((a, b) => createdMs(b) - createdMs(a) || (a.id < b.id ? -1 : 1));
}
