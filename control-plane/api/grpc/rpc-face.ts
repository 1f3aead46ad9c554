import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { Health } from "../../../proto/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as AlphaServerReflection } from "../../../proto/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { CaCertificatesAPI } from "../../../proto/gen/penstock/admin/v1/ca_certificates_pb.ts";
import { CertificatesAPI } from "../../../proto/gen/penstock/admin/v1/certificates_pb.ts";
import { ConfigAPI } from "../../../proto/gen/penstock/admin/v1/config_pb.ts";
import { DiagnosticsAPI } from "../../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { HealthAPI } from "../../../proto/gen/penstock/admin/v1/health_pb.ts";
import { NodeTokensAPI } from "../../../proto/gen/penstock/admin/v1/node_tokens_pb.ts";
import { NodesAPI } from "../../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { QuarantinesAPI } from "../../../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { RolloutsAPI } from "../../../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { RoutesAPI } from "../../../proto/gen/penstock/admin/v1/routes_pb.ts";
import { ServicesAPI } from "../../../proto/gen/penstock/admin/v1/services_pb.ts";
import { SnisAPI } from "../../../proto/gen/penstock/admin/v1/snis_pb.ts";
import { TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import { TrafficAPI } from "../../../proto/gen/penstock/admin/v1/traffic_pb.ts";
import { UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { Quarantines } from "../../admin/quarantines.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { HealthReader } from "../../admin/upstream-health.ts";
import type { TrafficReader } from "../../admin/upstream-traffic.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { NodeViews } from "../../observation/node-views.ts";
import type { TrafficViews } from "../../observation/traffic-views.ts";
import type { RolloutAdmin } from "../../rollout/rollout-admin.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../../sync/fleet.ts";
import type { Log } from "../../telemetry/log.ts";
import { type AnyRequest, type AnyResponse, answer, answerGrpcUnimplemented, isGrpc, pathOf } from "../answer.ts";
import { type SecretAccess, secretAccess } from "../secret-access.ts";
import { caCertificatesRpc } from "./ca-certificates-rpc.ts";
import { certificatesRpc } from "./certificates-rpc.ts";
import { configRpc } from "./config-rpc.ts";
import { explainRpc } from "./explain-rpc.ts";
import { healthRpc } from "./health-rpc.ts";
import { logFailures } from "./log-failures-rpc.ts";
import { nodeTokensRpc } from "./node-tokens-rpc.ts";
import { nodesRpc } from "./nodes-rpc.ts";
import { orderWrites } from "./order-writes-rpc.ts";
import { quarantinesRpc } from "./quarantines-rpc.ts";
import { reflectionRpc } from "./reflection-rpc.ts";
import { rolloutsRpc } from "./rollouts-rpc.ts";
import { routesRpc } from "./routes-rpc.ts";
import { contextWithSecrets } from "./secrets-context.ts";
import { servicesRpc } from "./services-rpc.ts";
import { snisRpc } from "./snis-rpc.ts";
import { targetHealthRpc } from "./target-health-rpc.ts";
import { targetsRpc } from "./targets-rpc.ts";
import { trafficRpc } from "./traffic-rpc.ts";
import { upstreamsRpc } from "./upstreams-rpc.ts";
import { validateRequests } from "./validate-request-rpc.ts";

/** Largest message that a client may send, before and after decompression. */
const readMaxBytes = 10 * 1024 * 1024;

/** Longest deadline that a client may set: what a timer can hold (24 days). */
const maxTimeoutMs = 2 ** 31 - 1;

const adminServices = [
  UpstreamsAPI,
  TargetsAPI,
  ServicesAPI,
  RoutesAPI,
  CertificatesAPI,
  SnisAPI,
  CaCertificatesAPI,
  ConfigAPI,
  NodesAPI,
  NodeTokensAPI,
  QuarantinesAPI,
  RolloutsAPI,
  HealthAPI,
  DiagnosticsAPI,
  TrafficAPI,
];
const services = [...adminServices, Health, ServerReflection, AlphaServerReflection];

export interface RpcFaceOptions {
  readonly admin: Admin;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly health: HealthReader;
  readonly identities: NodeIdentities;
  readonly rollouts: RolloutAdmin;
  /** What the nodes see; for those who watch. */
  readonly views: Pick<NodeViews, "onChange">;
  readonly traffic: TrafficReader;
  /** What requests meet; for those who watch. */
  readonly trafficViews: Pick<TrafficViews, "onChange">;
  readonly log: Log;
  /** Aborted when the control plane begins to shut down: ends the streams. */
  readonly shutdown: AbortSignal;
  /** Default: callers on this machine, and not in lists. */
  readonly secretAccess?: SecretAccess;
}

/** gRPC, gRPC-Web and Connect, over HTTP/1.1 and HTTP/2. */
export interface RpcFace {
  /** Whether a request path is that of an RPC of ours. */
  serves(path: string): boolean;
  /** Answers a request, whatever it holds. Never throws. */
  handle(request: AnyRequest, response: AnyResponse): void;
}

/** The gRPC face of the control plane. */
export function rpcFace(options: RpcFaceOptions): RpcFace {
  const { log, secretAccess: accessOf = secretAccess(false) } = options;
  const router = createConnectRouter({
    readMaxBytes,
    maxTimeoutMs,
    acceptCompression: [compressionGzip, compressionBrotli],
    shutdownSignal: unavailableOn(options.shutdown),
    // A misspelt field must not be dropped in silence.
    jsonOptions: { ignoreUnknownFields: false },
    interceptors: [logFailures(log), orderWrites(), validateRequests()],
  });
  addServices(router, options);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return {
    serves: (path) => handlers.has(path),
    handle(request, response) {
      const handler = handlers.get(pathOf(request.url));
      if (handler === undefined) return answerUnknown(request, response);
      // Inside a promise, since reading the request throws where its URL or authority is none.
      Promise.resolve()
        .then(() =>
          handler(universalRequestFromNodeRequest(request, response, undefined, contextWithSecrets(accessOf(request)))),
        )
        .then((answered) => universalResponseToNodeResponse(answered, response))
        .catch((reason: unknown) => {
          // Before the answer began: a request that no protocol understands. After: the client has gone.
          log.debug({ err: reason, path: request.url }, "a call was given up");
          if (response.headersSent) response.destroy();
          else answer(response, 400, { message: "not a request that this server understands" });
        });
    },
  };
}

/** The signal with the error that calls then end with. */
function unavailableOn(shutdown: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new ConnectError("the control plane is shutting down", Code.Unavailable));
  if (shutdown.aborted) abort();
  else shutdown.addEventListener("abort", abort, { once: true });
  return controller.signal;
}

function addServices(router: ConnectRouter, options: RpcFaceOptions): void {
  const { admin, store, fleet, identities, shutdown } = options;
  const reflection = reflectionRpc(() => services);
  router
    .service(UpstreamsAPI, upstreamsRpc(admin.upstream, store))
    .service(TargetsAPI, targetsRpc(admin, store, fleet))
    .service(ServicesAPI, servicesRpc(admin.service, store))
    .service(RoutesAPI, routesRpc(admin.route, store))
    .service(CertificatesAPI, certificatesRpc(admin.certificate, store))
    .service(SnisAPI, snisRpc(admin.sni, store))
    .service(CaCertificatesAPI, caCertificatesRpc(admin.ca_certificate, store))
    .service(ConfigAPI, configRpc(store, fleet))
    .service(NodesAPI, nodesRpc(fleet, identities))
    .service(NodeTokensAPI, nodeTokensRpc(identities))
    .service(QuarantinesAPI, quarantinesRpc(new Quarantines(store, fleet)))
    .service(RolloutsAPI, rolloutsRpc(options.rollouts))
    .service(HealthAPI, targetHealthRpc(options))
    .service(DiagnosticsAPI, explainRpc(fleet))
    .service(TrafficAPI, trafficRpc(options))
    .service(Health, healthRpc(new Set(services.map(({ typeName }) => typeName)), shutdown))
    .service(ServerReflection, reflection.v1)
    .service(AlphaServerReflection, reflection.v1alpha);
}

/** The status that an unknown method of a known service gets, in the caller's words. */
function answerUnknown(request: AnyRequest, response: AnyResponse): void {
  if (isGrpc(request)) answerGrpcUnimplemented(response);
  else answer(response, 404, { code: "unimplemented", message: "unknown method" });
}
