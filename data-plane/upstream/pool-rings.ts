import { hashRingSteps } from "../balance/hash-ring.ts";
import type { EndpointConfig, HashRing } from "../config/worker-config.ts";
import { untilDone } from "../steps/until-done.ts";
import type { PoolPlan } from "./pool-plan.ts";

interface Made {
  readonly slots: number;
  readonly endpoints: readonly EndpointConfig[];
  readonly rings: readonly HashRing[];
}

/**
 * The rings of the pools that hash. One takes 7 to 60 milliseconds to make, so it is made when a place in it changes, and
 * not with every snapshot, name or limit.
 */
export class PoolRings {
  readonly #made = new Map<string, Made>();

  /** Null for a pool that does not hash. */
  ringsOf(pool: PoolPlan, endpoints: readonly EndpointConfig[]): readonly HashRing[] | null {
    return untilDone(this.ringSteps(pool, endpoints));
  }

  /** The same in steps, see `hashRingSteps`; none where they are there already. */
  *ringSteps(pool: PoolPlan, endpoints: readonly EndpointConfig[]): Generator<void, readonly HashRing[] | null> {
    if (pool.algorithm !== "consistent-hashing") return null;
    const made = this.#madeFor(pool, endpoints);
    if (made !== null) return made.rings;
    const rings = yield* hashRingSteps(endpoints, pool.slots);
    this.#made.set(pool.key, { slots: pool.slots, endpoints, rings });
    return rings;
  }

  /** Whether `ringsOf` would give them at once. */
  hasRings(pool: PoolPlan, endpoints: readonly EndpointConfig[]): boolean {
    return pool.algorithm !== "consistent-hashing" || this.#madeFor(pool, endpoints) !== null;
  }

  /** Forgets those of all others. */
  retainOnly(pools: readonly PoolPlan[]): void {
    const hashing = pools.filter(({ algorithm }) => algorithm === "consistent-hashing");
    const keys = new Set(hashing.map(({ key }) => key));
    for (const key of this.#made.keys()) if (!keys.has(key)) this.#made.delete(key);
  }

  #madeFor(pool: PoolPlan, endpoints: readonly EndpointConfig[]): Made | null {
    const made = this.#made.get(pool.key);
    if (made === undefined || made.slots !== pool.slots || made.endpoints.length !== endpoints.length) return null;
    return made.endpoints.every((endpoint, i) => isSamePlace(endpoint, endpoints[i]!)) ? made : null;
  }
}

/** All that rings are made of; rows are not, since one may come to stand for another endpoint. */
function isSamePlace(one: EndpointConfig, other: EndpointConfig): boolean {
  return (
    one.address === other.address &&
    one.port === other.port &&
    one.hostHeader === other.hostHeader &&
    one.weight === other.weight &&
    one.priority === other.priority &&
    one.isLocal === other.isLocal
  );
}
