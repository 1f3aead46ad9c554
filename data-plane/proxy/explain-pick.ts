import { type EndpointPlace, explainRotation } from "../balance/explain-rotation.ts";
import { endpointsInUse } from "../balance/panic.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import type { ServedPool } from "../snapshot/snapshot-holder.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import { isPoolAtLimit } from "./endpoint-room.ts";
import type { Exchange } from "./exchange.ts";

/** Where a pool would send a request at this moment, and what each of its endpoints gets. */
export interface ExplainedPick {
  /** null: nobody gets it now. */
  readonly picked: EndpointConfig | null;
  /** `picked`: somebody does. `queued`: it waits for its turn. `at_limit`: it may not wait. `nobody`: there is no one to wait for. */
  readonly fate: "picked" | "queued" | "at_limit" | "nobody";
  /** Who would be asked should that one fail, and nobody else go out by it; null for nobody, or without retries. */
  readonly next: EndpointConfig | null;
  readonly isPanic: boolean;
  /** In the order of the set. */
  readonly places: readonly EndpointPlace[];
}

/**
 * Asks the picker that requests ask, in the order in which attempt.ts and admission.ts do: nothing is admitted, and nobody's
 * turn is taken.
 */
export function explainPick(pool: ServedPool, exchange: Exchange, table: EndpointTable): ExplainedPick {
  const { config, set, picker } = pool;
  const { tried, hash, stickyKey, startedAtMs } = exchange;
  const isFull = isPoolFull(pool, table);
  const picked = isFull ? null : picker.peek({ tried, hash, stickyKey, startedAtMs });
  const waitsForRoom = isFull || (picked === null && pool.isLimited && picker.isFull);
  const hasNext = picked !== null && exchange.service!.retries > 0;
  const other = !hasNext ? null : picker.peek({ tried: [picked], hash, stickyKey, startedAtMs });
  return {
    picked,
    fate: picked !== null ? "picked" : waitsForRoom ? queueFate(pool, table) : "nobody",
    next: other?.row === picked?.row ? null : other,
    isPanic: endpointsInUse(set.endpoints, table, config.resilience.panic).isPanic,
    places: explainRotation(config, set.endpoints, table),
  };
}

/** Whether a newcomer is not admitted whoever is asked: its pool is at its limit, or others wait already. */
function isPoolFull({ config, isLimited }: ServedPool, table: EndpointTable): boolean {
  return isLimited && (isPoolAtLimit(table, config) || table.admissions.hasOrder(config.poolRow));
}

function queueFate({ config }: ServedPool, { admissions }: EndpointTable): "queued" | "at_limit" {
  const queueSize = config.balancing.inFlight?.queueSize ?? 0;
  return admissions.waitingCount(config.poolRow) < queueSize ? "queued" : "at_limit";
}
