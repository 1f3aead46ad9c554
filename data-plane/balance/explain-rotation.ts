import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import { type RotationState, rotationOf } from "./rotation.ts";

/**
 * What an endpoint gets of the requests, and why. `in_use`: its share; also while too few are available, when it is out.
 * `reserve`: only what others cannot take, since its tier, or its zone, is not asked for now. `held_back`: the same, until
 * it has been in for a while. `ejected`: retries that have been at all of the others. `draining`: the sessions that it
 * has. `out`: nothing.
 */
export type EndpointRole = "in_use" | "reserve" | "held_back" | "ejected" | "draining" | "out";

export interface EndpointPlace {
  readonly endpoint: EndpointConfig;
  readonly role: EndpointRole;
  /**
   * Of the pool's requests, 0 to 1, while none is at its limit: exact with round-robin, on the average of many keys with
   * consistent hashing, and of an idle pool with the others.
   */
  readonly share: number;
}

/** Where each endpoint of a pool stands, in the order in which they are given. Moves nothing. */
export function explainRotation(
  pool: PoolConfig,
  endpoints: readonly EndpointConfig[],
  state: RotationState,
): readonly EndpointPlace[] {
  const { levels, reserve, lastResort } = rotationOf(pool, endpoints, state);
  const places = new Map<number, { role: EndpointRole; share: number }>();
  for (const { row } of lastResort) places.set(row, { role: "ejected", share: 0 });
  for (const level of reserve) {
    const role = level.isHeldBack ? "held_back" : "reserve";
    for (const { row } of level.endpoints) places.set(row, { role, share: 0 });
  }
  for (const level of levels) {
    for (const [i, { row }] of level.endpoints.entries()) {
      places.set(row, { role: "in_use", share: (level.share * level.weights[i]!) / level.weightSum });
    }
  }
  return endpoints.map((endpoint) => {
    const isDraining = endpoint.weight === 0 && !state.isOut(endpoint.row);
    const rest = { role: isDraining ? ("draining" as const) : ("out" as const), share: 0 };
    return { endpoint, ...(places.get(endpoint.row) ?? rest) };
  });
}
