import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type HealthAPI,
  HealthState,
  type UpstreamHealth as UpstreamHealthMessage,
  UpstreamHealthSchema,
} from "../../../proto/gen/penstock/admin/v1/health_pb.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { HealthReader, UpstreamHealth } from "../../admin/upstream-health.ts";
import type { HealthState as MergedState, MergedTarget, NodeEndpointView } from "../../observation/merge-health.ts";
import type { NodeViews } from "../../observation/node-views.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { toBadRequest, toConnectError } from "./to-connect-error.ts";
import { watchUpstreams } from "./watch-upstreams-rpc.ts";

export interface TargetHealthFace {
  readonly admin: Pick<Admin, "setTargetHealth">;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly health: HealthReader;
  readonly views: Pick<NodeViews, "onChange">;
}

/** gRPC face of health. Errors of each method: health.proto. */
export function targetHealthRpc(face: TargetHealthFace): ServiceImpl<typeof HealthAPI> {
  const { admin, health, fleet } = face;
  const message = (upstream: UpstreamHealth) => upstreamHealthMessage(upstream, connectedCount(fleet));
  return {
    getUpstreamHealth(request) {
      const found = health.upstream(request.upstream);
      if (!found.ok) throw toConnectError(found.problems, { kind: "upstream", key: request.upstream });
      return { health: message(found.value) };
    },

    async *watchUpstreamHealth({ upstream }, { signal }) {
      const id = upstream === "" ? null : health.upstream(upstream);
      if (id?.ok === false) throw toConnectError(id.problems, { kind: "upstream", key: upstream });
      const sources = { store: face.store, read: health.upstream, changes: [face.views] };
      for await (const seen of watchUpstreams(sources, id === null ? null : id.value.id, signal))
        yield "deletedId" in seen
          ? { deleted: true, health: { upstreamId: seen.deletedId, upstreamName: seen.name } }
          : { deleted: false, health: message(seen.upstream) };
    },

    async setTargetHealth({ upstream, target, address, healthy, expiresIn }) {
      const expiresInMs = expiresIn === undefined ? null : durationMs(expiresIn);
      const decided = await admin.setTargetHealth({ upstream, target, address, isHealthy: healthy, expiresInMs });
      if (!decided.ok) {
        const wrong = decided.problems.filter(({ code }) => code === "invalid");
        if (wrong.length > 0) throw toBadRequest(wrong.map((one) => ({ field: one.field, description: one.message })));
        throw toConnectError(decided.problems, { kind: "target", key: target });
      }
      const { revision, expiresAtUnixMs } = decided.value;
      const expiresAt = expiresAtUnixMs === null ? {} : { expiresAt: timestampFromMs(expiresAtUnixMs) };
      return { revision: BigInt(revision), ...expiresAt };
    },
  };
}

function connectedCount(fleet: Fleet): number {
  return fleet.nodes().filter(({ isConnected }) => isConnected).length;
}

export const stateOf: Readonly<Record<MergedState, HealthState>> = {
  UNKNOWN: HealthState.UNSPECIFIED,
  HEALTHY: HealthState.HEALTHY,
  UNHEALTHY: HealthState.UNHEALTHY,
  HEALTHCHECKS_OFF: HealthState.HEALTHCHECKS_OFF,
  DNS_ERROR: HealthState.DNS_ERROR,
};

function upstreamHealthMessage(
  { id, name, merged, effective }: UpstreamHealth,
  nodeCount: number,
): UpstreamHealthMessage {
  return create(UpstreamHealthSchema, {
    upstreamId: id,
    upstreamName: name,
    state: stateOf[merged.state],
    targets: merged.targets.map(targetMessage),
    effectiveResilience: effective.resilience,
    nodeCount,
    replacedDefaults: effective.replaced.map(({ field, by, meaning }) => ({ field, by, meaning })),
  });
}

function targetMessage({ id, target, weight, state, endpoints }: MergedTarget) {
  return {
    targetId: id,
    target,
    weight,
    state: stateOf[state],
    endpoints: endpoints.map((endpoint) => ({
      address: endpoint.address,
      state: stateOf[endpoint.state],
      healthyNodeCount: endpoint.healthyNodeCount,
      reportingNodeCount: endpoint.reportingNodeCount,
      views: endpoint.views.map(viewMessage),
    })),
  };
}

function viewMessage({ nodeId, hostname, view }: NodeEndpointView) {
  return {
    nodeId,
    hostname,
    healthy: view.isHealthy,
    source: view.source,
    reason: view.reason,
    since: timestampFromMs(view.sinceUnixMs),
    transitionCount: BigInt(view.transitionCount),
    probeSuccesses: BigInt(view.probeSuccesses),
    probeFailures: BigInt(view.probeFailures),
    dns: view.dns,
  };
}
