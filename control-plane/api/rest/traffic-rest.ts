import type { TargetTraffic, TrafficReader, UpstreamTraffic } from "../../admin/upstream-traffic.ts";
import type { NodeFigures } from "../../observation/merge-traffic.ts";
import type { TrafficFigures } from "../../observation/traffic-sum.ts";
import { printState } from "./print-health.ts";
import type { JsonObject } from "./print-resource.ts";
import { problemAnswer } from "./problem-answer.ts";
import type { Endpoint } from "./rest-answer.ts";

/** `GET /upstreams/{u}/traffic`, with `?by_node=true` also of each node: what TrafficAPI tells, in its own field names. */
export function trafficRest(traffic: TrafficReader): Endpoint {
  return (request) => {
    const byNode = ["1", "true"].includes(request.query.get("by_node") ?? "");
    const found = traffic.upstream(request.params["key"] ?? "", byNode);
    if (!found.ok) return problemAnswer("upstream", found.problems);
    return { status: 200, body: printUpstream(found.value, byNode) };
  };
}

function printUpstream({ id, name, state, total, nodeCount, nodes, targets }: UpstreamTraffic, byNode: boolean) {
  return {
    upstream: { id, name },
    health: printState(state),
    figures: printFigures(total),
    node_count: nodeCount,
    ...printNodes(nodes, byNode),
    targets: targets.map((target) => printTarget(target, byNode)),
  };
}

function printTarget({ id, target, weight, state, total, endpoints }: TargetTraffic, byNode: boolean): JsonObject {
  return {
    id,
    target: target === "" ? null : target,
    weight,
    health: printState(state),
    figures: printFigures(total),
    endpoints: endpoints.map((endpoint) => ({
      address: endpoint.address,
      health: printState(endpoint.state),
      figures: printFigures(endpoint.total),
      ...printNodes(endpoint.nodes, byNode),
    })),
  };
}

function printNodes(nodes: readonly NodeFigures[], byNode: boolean): JsonObject {
  if (!byNode) return {};
  return {
    nodes: nodes.map(({ nodeId, hostname, figures }) => ({
      node_id: nodeId,
      hostname,
      figures: printFigures(figures),
    })),
  };
}

function printFigures(figures: TrafficFigures): JsonObject {
  const { counts } = figures;
  return {
    request_count: counts.requests,
    answer_count: counts.answers,
    client_error_count: counts.clientErrors,
    server_error_count: counts.serverErrors,
    loss_count: counts.losses,
    ejection_count: counts.ejections,
    requests_per_second: figures.requestsPerSecond,
    errors_per_second: figures.errorsPerSecond,
    error_ratio: figures.errorRatio,
    latency_p50_ms: figures.p50Ms,
    latency_p99_ms: figures.p99Ms,
    in_flight: figures.inFlight,
    ejections_last_minute: figures.ejectionsLastMinute,
  };
}
