import type { HealthState, MergedEndpoint, MergedTarget, NodeEndpointView } from "../../observation/merge-health.ts";
import type { ReplacedDefault } from "../../resource/effective-resilience.ts";
import { normalizeEndpointAddress } from "../../resource/endpoint-address.ts";
import type { JsonObject } from "./print-resource.ts";

/** Kong knows no state for what nobody has looked at; its own control planes say this of everything. */
export function printState(state: HealthState): string {
  return state === "UNKNOWN" ? "HEALTHCHECKS_OFF" : state;
}

/** `data` of a target in `GET /upstreams/{u}/health`. */
export function printTargetData(target: MergedTarget): JsonObject {
  const unresolved = target.endpoints.find(({ address }) => address === "");
  return {
    ...printTarget(target, ({ state }) => ({ health: printState(state) })),
    // Kong lists addresses only: where some nodes have none, they are told of here.
    ...(unresolved === undefined ? {} : { unresolved: unresolved.views.map(printView) }),
  };
}

/** One of `hosts` in `GET /upstreams/{u}/health?balancer_health=1`. */
export function printBalancerHost(target: MergedTarget): JsonObject {
  return printTarget(target, ({ state }) => ({ healthy: state !== "UNHEALTHY" }));
}

function printTarget(target: MergedTarget, healthOf: (endpoint: MergedEndpoint) => JsonObject): JsonObject {
  const addresses = addressesOf(target);
  return {
    ...printPlace(target),
    dns: printDns(target),
    nodeWeight: target.weight,
    weight: printWeight(addresses),
    addresses: addresses.map((endpoint) => ({
      ...printAddress(endpoint.address),
      weight: endpoint.weight,
      ...healthOf(endpoint),
      ...printViews(endpoint),
    })),
  };
}

/** The sum of the weights of all targets. */
export function printPoolWeight(targets: readonly MergedTarget[]): JsonObject {
  return printWeight(targets.flatMap(addressesOf));
}

/** The addresses of a name, as in printTargetData. */
export function printEndpoints(endpoints: readonly MergedEndpoint[]): readonly JsonObject[] {
  return endpoints
    .filter(({ address }) => address !== "")
    .map((endpoint) => ({
      ...printAddress(endpoint.address),
      health: printState(endpoint.state),
      ...printViews(endpoint),
    }));
}

export function printView({ nodeId, hostname, view }: NodeEndpointView): JsonObject {
  return {
    node_id: nodeId,
    hostname,
    health: view.isHealthy ? "HEALTHY" : "UNHEALTHY",
    source: view.source === "" ? null : view.source,
    reason: view.reason === "" ? null : view.reason,
    since: view.sinceUnixMs / 1000,
    transitions: view.transitionCount,
    probe_successes: view.probeSuccesses,
    probe_failures: view.probeFailures,
    dns: view.dns,
  };
}

export function printReplaced({ field, by, meaning }: ReplacedDefault): JsonObject {
  return { field, by, meaning };
}

function printViews(endpoint: Pick<MergedEndpoint, "healthyNodeCount" | "reportingNodeCount" | "views">): JsonObject {
  return {
    healthy_on: `${endpoint.healthyNodeCount} of ${endpoint.reportingNodeCount}`,
    nodes: endpoint.views.map(printView),
  };
}

function printPlace({ target }: MergedTarget): { readonly host: string; readonly port: number } {
  const at = target.lastIndexOf(":");
  return { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
}

function printAddress(address: string): { readonly ip: string; readonly port: number } {
  const at = address.lastIndexOf(":");
  return { ip: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}

/** What is known of a target's addresses; of an IP address, also where no node has reported. */
function addressesOf(target: MergedTarget): readonly MergedEndpoint[] {
  const seen = target.endpoints.filter(({ address }) => address !== "");
  const own = target.endpoints.length === 0 ? normalizeEndpointAddress(target.target) : null;
  if (own === null) return seen;
  return [
    {
      address: own,
      state: "UNKNOWN",
      weight: target.weight,
      healthyNodeCount: 0,
      reportingNodeCount: 0,
      views: [],
    },
  ];
}

/** In Kong's words: the type of record, or why there is none. */
function printDns(target: MergedTarget): string {
  const [first] = addressesOf(target);
  if (first === undefined) return target.endpoints[0]?.views[0]?.view.dns ?? "not resolved: no node has reported";
  const told = first.views[0]?.view.dns ?? "";
  const isRecordType = told !== "" && told !== "literal" && told !== "hosts";
  return isRecordType ? told : first.address.startsWith("[") ? "AAAA" : "A";
}

function printWeight(endpoints: readonly MergedEndpoint[]): JsonObject {
  let [total, unavailable] = [0, 0];
  for (const { weight, state } of endpoints) {
    total += weight;
    if (state === "UNHEALTHY") unavailable += weight;
  }
  return { total, unavailable, available: total - unavailable };
}
