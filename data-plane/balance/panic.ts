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

/**
 * Those that are available, unless that is too few: then by the pool's panic policy. Whom a person took out gets
 * nothing in any case; whom health checks took out, only where the policy says so.
 *
 * Cost: once per change of what is available.
 */
export function endpointsInUse(
  endpoints: readonly EndpointConfig[],
  state: Pick<EndpointState, "isOut" | "has">,
  panic: PanicConfig,
): EndpointsInUse {
  const turning: EndpointConfig[] = [];
  let weight = 0;
  let availableWeight = 0;
  for (const endpoint of endpoints) {
    weight += endpoint.weight;
    if (state.isOut(endpoint.row)) continue;
    availableWeight += endpoint.weight;
    turning.push(endpoint);
  }
  const isPanic = availableWeight * 100 <= weight * panic.thresholdPercent;
  if (!isPanic) {
    const isEjected = ({ row }: EndpointConfig) => state.isOut(row) && !isBarred(state, row, true);
    const lastResort = turning.length === endpoints.length ? [] : endpoints.filter(isEjected);
    return { turning, lastResort, isPanic };
  }
  if (panic.mode === "fail_closed") return { turning: [], lastResort: [], isPanic };
  const sparesChecked = panic.mode === "fail_open_unchecked";
  const isUsable = ({ row }: EndpointConfig) => !state.isOut(row) || !isBarred(state, row, sparesChecked);
  return { turning: endpoints.filter(isUsable), lastResort: [], isPanic };
}

/** Of an endpoint that is out: whether more than what it did to traffic has taken it out. */
function isBarred(state: Pick<EndpointState, "has">, row: number, byChecks: boolean): boolean {
  return state.has(row, "forced_out") || (byChecks && state.has(row, "unhealthy"));
}
