import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  NodeTrafficSchema,
  TargetTrafficSchema,
  TrafficAPI,
  TrafficFiguresSchema,
  UpstreamTrafficSchema,
} from "../../../proto/gen/penstock/admin/v1/traffic_pb.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { TargetTraffic, TrafficReader, UpstreamTraffic } from "../../admin/upstream-traffic.ts";
import type { NodeFigures } from "../../observation/merge-traffic.ts";
import type { NodeViews } from "../../observation/node-views.ts";
import type { TrafficFigures } from "../../observation/traffic-sum.ts";
import type { TrafficViews } from "../../observation/traffic-views.ts";
import type { Store } from "../../store/store.ts";
import { listQuery } from "./list-query.ts";
import { stateOf } from "./target-health-rpc.ts";
import { toConnectError } from "./to-connect-error.ts";
import { watchUpstreams } from "./watch-upstreams-rpc.ts";

export interface TrafficFace {
  readonly admin: Pick<Admin, "upstream">;
  readonly store: Store;
  readonly traffic: TrafficReader;
  /** What says that there is something new: of the traffic, and of the health that is told beside it. */
  readonly trafficViews: Pick<TrafficViews, "onChange">;
  readonly views: Pick<NodeViews, "onChange">;
}

/** gRPC face of the traffic. Errors of each method: traffic.proto. */
export function trafficRpc(face: TrafficFace): ServiceImpl<typeof TrafficAPI> {
  const { admin, store, traffic, trafficViews, views } = face;
  const readOne = (upstream: string, byNode: boolean): UpstreamTraffic => {
    const found = traffic.upstream(upstream, byNode);
    if (!found.ok) throw toConnectError(found.problems, { kind: "upstream", key: upstream });
    return found.value;
  };
  return {
    getTraffic({ upstream, byNode, pageSize, pageToken }) {
      if (upstream !== "") return { upstreams: [upstreamMessage(readOne(upstream, byNode))] };
      const listed = admin.upstream.list(listQuery({ pageSize, pageToken, tags: [] }));
      if (!listed.ok) throw toConnectError(listed.problems, { kind: "upstream" });
      const upstreams = listed.value.rows.map(({ id }) => upstreamMessage(readOne(id, byNode)));
      return { upstreams, nextPageToken: listed.value.nextPageToken ?? "" };
    },

    async *watchTraffic({ upstream, byNode }, { signal }) {
      const id = upstream === "" ? null : readOne(upstream, false).id;
      const read = (key: string) => traffic.upstream(key, byNode);
      for await (const seen of watchUpstreams({ store, read, changes: [trafficViews, views] }, id, signal))
        yield "deletedId" in seen
          ? { deleted: true, traffic: { upstreamId: seen.deletedId, upstreamName: seen.name } }
          : { deleted: false, traffic: upstreamMessage(seen.upstream) };
    },
  };
}

function upstreamMessage(upstream: UpstreamTraffic): MessageInitShape<typeof UpstreamTrafficSchema> {
  const { id, name, state, total, nodeCount, nodes, targets } = upstream;
  return {
    upstreamId: id,
    upstreamName: name,
    state: stateOf[state],
    figures: figuresMessage(total),
    nodeCount,
    nodes: nodes.map(nodeMessage),
    targets: targets.map(targetMessage),
  };
}

function targetMessage(traffic: TargetTraffic): MessageInitShape<typeof TargetTrafficSchema> {
  const { id, target, weight, state, total, endpoints } = traffic;
  return {
    targetId: id,
    target,
    weight,
    state: stateOf[state],
    figures: figuresMessage(total),
    endpoints: endpoints.map((endpoint) => ({
      address: endpoint.address,
      state: stateOf[endpoint.state],
      figures: figuresMessage(endpoint.total),
      nodes: endpoint.nodes.map(nodeMessage),
    })),
  };
}

function nodeMessage({ nodeId, hostname, figures }: NodeFigures): MessageInitShape<typeof NodeTrafficSchema> {
  return { nodeId, hostname, figures: figuresMessage(figures) };
}

function figuresMessage(figures: TrafficFigures): MessageInitShape<typeof TrafficFiguresSchema> {
  const { counts, p50Ms, p99Ms } = figures;
  return {
    requestCount: BigInt(counts.requests),
    answerCount: BigInt(counts.answers),
    clientErrorCount: BigInt(counts.clientErrors),
    serverErrorCount: BigInt(counts.serverErrors),
    lossCount: BigInt(counts.losses),
    ejectionCount: BigInt(counts.ejections),
    requestsPerSecond: figures.requestsPerSecond,
    errorsPerSecond: figures.errorsPerSecond,
    errorRatio: figures.errorRatio,
    ...(p50Ms === null ? {} : { latencyP50Ms: p50Ms }),
    ...(p99Ms === null ? {} : { latencyP99Ms: p99Ms }),
    inFlight: BigInt(figures.inFlight),
    ejectionsLastMinute: BigInt(figures.ejectionsLastMinute),
  };
}
