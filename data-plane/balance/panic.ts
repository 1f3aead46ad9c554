import type { PanicConfig } from "../config/resilience-config.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";

/** Which of a pool's endpoints get requests. */
export interface EndpointsInUse {
  /** Those that requests are balanced over; empty where nobody is to get one. */
  readonly turning: readonly EndpointConfig[];
  /** Those that a request may still go to when it has been at all of the others. */
  readonly lastResort: readonly EndpointConfig[];
  /** Too few are available. */
  readonly isPanic: boolean;
}

type Availability = Pick<EndpointState, "isOut" | "has" | "outOrder">;

/**
 * Those that are available, unless that is too few: then by the pool's panic policy. Whom a person took out gets
 * nothing in any case; whom health checks took out, only where the policy says so. An endpoint of weight 0 is in none of
 * the lists.
 *
 * Cost: once per change of what is available.
 */
export function endpointsInUse(
  endpoints: readonly EndpointConfig[],
  state: Availability,
  panic: PanicConfig,
): EndpointsInUse {
  const turning: EndpointConfig[] = [];
  let weight = 0;
  let availableWeight = 0;
  for (const endpoint of endpoints) {
    weight += endpoint.weight;
    if (endpoint.weight === 0 || state.isOut(endpoint.row)) continue;
    availableWeight += endpoint.weight;
    turning.push(endpoint);
  }
  const isPanic = availableWeight * 100 <= weight * panic.thresholdPercent;
  if (!isPanic) {
    const lastResort = turning.length === endpoints.length ? [] : endpoints.filter((each) => isEjected(each, state));
    return { turning, lastResort, isPanic };
  }
  if (panic.mode === "fail_closed") return { turning: [], lastResort: [], isPanic };
  if (panic.mode === "last_good") return lastGood(endpoints, state, panic.thresholdPercent);
  const sparesChecked = panic.mode === "fail_open_unchecked";
  const isUsable = ({ row }: EndpointConfig) => !state.isOut(row) || !isBarred(state, row, sparesChecked);
  return { turning: endpoints.filter((each) => each.weight > 0 && isUsable(each)), lastResort: [], isPanic };
}

/**
 * Beside those that are available, those that went out last, as many as it takes to be above the threshold. Some may go
 * out at once: all of them come back, or none.
 */
function lastGood(endpoints: readonly EndpointConfig[], state: Availability, thresholdPercent: number): EndpointsInUse {
  const isIn = ({ row }: EndpointConfig) => !state.isOut(row);
  const weighted = endpoints.filter((each) => each.weight > 0);
  const enough = (sumOfWeights(weighted) * thresholdPercent) / 100;
  const outByLast = weighted.filter((each) => !isIn(each) && !state.has(each.row, "forced_out"));
  outByLast.sort((a, b) => state.outOrder(b.row) - state.outOrder(a.row));
  let weight = sumOfWeights(weighted.filter(isIn));
  let cutoff = Number.POSITIVE_INFINITY;
  for (const { row, weight: more } of outByLast) {
    const order = state.outOrder(row);
    if (weight > enough && order < cutoff) break;
    weight += more;
    cutoff = order;
  }
  const isGood = (each: EndpointConfig) =>
    isIn(each) || (!state.has(each.row, "forced_out") && state.outOrder(each.row) >= cutoff);
  return {
    turning: weighted.filter(isGood),
    lastResort: weighted.filter((each) => !isGood(each) && isEjected(each, state)),
    isPanic: true,
  };
}

/** Whether it is out for nothing but what it did to traffic. */
function isEjected({ row, weight }: EndpointConfig, state: Availability): boolean {
  return weight > 0 && state.isOut(row) && !isBarred(state, row, true);
}

/** Of an endpoint that is out: whether more than what it did to traffic has taken it out. */
function isBarred(state: Pick<EndpointState, "has">, row: number, byChecks: boolean): boolean {
  return state.has(row, "forced_out") || (byChecks && state.has(row, "unhealthy"));
}

function sumOfWeights(endpoints: readonly EndpointConfig[]): number {
  let sum = 0;
  for (const { weight } of endpoints) sum += weight;
  return sum;
}
