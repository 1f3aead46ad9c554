import type { IncomingMessage, ServerResponse } from "node:http";
import router from "find-my-way";
import { Quarantines } from "../../admin/quarantines.ts";
import type { Admin } from "../../admin/resource-admin.ts";
import type { HealthReader } from "../../admin/upstream-health.ts";
import type { TrafficReader } from "../../admin/upstream-traffic.ts";
import type { NodeIdentities } from "../../identity/node-identities.ts";
import type { RolloutAdmin } from "../../rollout/rollout-admin.ts";
import { readOrder, withOrder } from "../../rollout/rollout-order.ts";
import type { Store } from "../../store/store.ts";
import type { Fleet } from "../../sync/fleet.ts";
import type { Log } from "../../telemetry/log.ts";
import { type SecretAccess, secretAccess } from "../secret-access.ts";
import { ConnectionCounter } from "./connection-counter.ts";
import { explainRoute } from "./explain-rest.ts";
import { healthRoutes } from "./health-rest.ts";
import { metricsRest } from "./metrics-rest.ts";
import { nodeIdentityRoutes } from "./node-identity-rest.ts";
import { type NodeIdentity, nodePage, statusPage } from "./node-page.ts";
import { nodeRoutes } from "./nodes-rest.ts";
import { quarantineRoutes } from "./quarantines-rest.ts";
import { type BodyLimits, type BodyOutcome, defaultBodyLimits, readBody } from "./read-body.ts";
import { type Answer, messageAnswer, notFoundAnswer, type RestRequest, sendAnswer } from "./rest-answer.ts";
import { allowedMethods, type RestMethod, type RestRoute, resourceRoutes } from "./rest-routes.ts";
import { rolloutRoutes } from "./rollout-rest.ts";
import { snapshotRest } from "./snapshot-rest.ts";
import { trafficRest } from "./traffic-rest.ts";

export interface RestFaceOptions {
  readonly admin: Admin;
  readonly fleet: Fleet;
  readonly store: Store;
  readonly health: HealthReader;
  readonly traffic: TrafficReader;
  readonly identity: NodeIdentity;
  readonly identities: NodeIdentities;
  readonly rollouts: RolloutAdmin;
  readonly clock: { monotonicMs(): number; unixMs(): number };
  readonly log: Pick<Log, "error">;
  /** Default: 10 MiB and 64 levels. */
  readonly bodyLimits?: BodyLimits;
  /** Default: callers on this machine, and not in lists. */
  readonly secretAccess?: SecretAccess;
}

const methodsWithBody: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
const noBody: BodyOutcome = { ok: true, body: { type: "none" } };

/** Longest key in a path: the longest name, every character of it written in percent-encoded UTF-8. */
const keyMaxLength = 16_384;

/**
 * The Kong-compatible Admin API: answers requests of a node:http server. The caller has checked Host and Origin.
 * Never throws; what goes wrong unexpectedly is logged once and answered with 500.
 */
export function restFace(options: RestFaceOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const connections = new ConnectionCounter();
  const quarantines = new Quarantines(options.store, options.fleet);
  const findRoute = routeFinder({
    "/": { GET: nodePage(options.identity, options.store) },
    "/status": { GET: statusPage(options.store, connections) },
    "/config/snapshot": { GET: snapshotRest(options.store) },
    "/explain": explainRoute(options.fleet),
    "/metrics": { GET: metricsRest(options.fleet, options.store) },
    ...nodeRoutes(options.fleet, options.identities, options.clock.unixMs),
    ...nodeIdentityRoutes(options.identities),
    ...quarantineRoutes(quarantines),
    ...rolloutRoutes(options.rollouts),
    ...resourceRoutes(options.admin, options.fleet, options.clock, quarantines),
    "/upstreams/:key/traffic": { GET: trafficRest(options.traffic) },
    ...healthRoutes({ ...options, nodeId: options.identity.nodeId }),
  });
  const reading = {
    limits: options.bodyLimits ?? defaultBodyLimits,
    secretAccess: options.secretAccess ?? secretAccess(false),
  };

  const server = `penstock/${options.identity.version}`;
  return (request, response) => {
    const startMs = options.clock.monotonicMs();
    const countEnd = connections.countRequest(request.socket);
    const client = new AbortController();
    response.once("close", () => {
      countEnd();
      if (!response.writableFinished) client.abort();
    });
    // A client that leaves while it is answered is no error of ours.
    response.on("error", () => {});
    answerRequest(request, findRoute, { ...reading, signal: client.signal })
      .catch((error: unknown) => {
        if (client.signal.aborted && error === client.signal.reason) return null;
        options.log.error({ err: error, method: request.method, url: request.url }, "admin request failed");
        return messageAnswer(500, "An unexpected error occurred");
      })
      .then((answer) => {
        const latencyMs = options.clock.monotonicMs() - startMs;
        if (answer !== null) sendAnswer(request, response, answer, { server, latencyMs });
      })
      .catch((error: unknown) => {
        options.log.error({ err: error, method: request.method, url: request.url }, "admin answer failed");
        response.destroy();
      });
  };
}

/** What a path leads to: a route with the path's parameters, or an answer that needs none. */
type Found = { readonly route: RestRoute; readonly params: RestRequest["params"] } | { readonly answer: Answer };
type FindRoute = (path: string) => Found;

/** Paths are found whatever the method, so that a wrong method is told from a wrong path. */
function routeFinder(routes: Readonly<Record<string, RestRoute>>): FindRoute {
  const paths = router({ ignoreTrailingSlash: true, maxParamLength: keyMaxLength, onBadUrl: () => {} });
  for (const [path, route] of Object.entries(routes)) paths.on("GET", path, () => {}, route);
  return (path) => {
    const found = paths.find("GET", path);
    if (found === null) return { answer: notFoundAnswer };
    // The router's own handler for paths that are not percent-encoded UTF-8 comes without a route.
    if (found.store === null || found.store === undefined) return { answer: messageAnswer(400, "Malformed path") };
    // An empty key names nothing: "/services//routes".
    if (Object.values(found.params).includes("")) return { answer: notFoundAnswer };
    return { route: found.store as RestRoute, params: found.params };
  };
}

/** How a request is read. */
interface Reading {
  readonly limits: BodyLimits;
  readonly secretAccess: SecretAccess;
  /** The client has left. */
  readonly signal: AbortSignal;
}

/** The answer, or null when the client has left. Errors: rejects with the signal's reason, too. */
async function answerRequest(
  request: IncomingMessage,
  findRoute: FindRoute,
  { limits, secretAccess, signal }: Reading,
): Promise<Answer | null> {
  // RFC 9112 section 3.2.2: a server takes the absolute form, too, in which the path may be left out.
  const url = (request.url ?? "/").replace(/^https?:\/\/[^/?]*\/?/i, "/");
  const queryStart = url.indexOf("?");
  const path = queryStart < 0 ? url : url.slice(0, queryStart);
  const found = path.startsWith("/") ? findRoute(path) : { answer: notFoundAnswer };
  if ("answer" in found) return found.answer;
  const method = request.method ?? "";
  if (method === "OPTIONS") return { status: 204, headers: { Allow: allowedMethods(found.route) } };
  const endpoint = found.route[(method === "HEAD" ? "GET" : method) as RestMethod];
  if (endpoint === undefined) {
    return messageAnswer(405, "Method not allowed", { Allow: allowedMethods(found.route) });
  }
  const read: BodyOutcome = methodsWithBody.has(method) ? await readBody(request, limits) : noBody;
  if (!read.ok) return read.answer;
  const query = new URLSearchParams(queryStart < 0 ? "" : url.slice(queryStart + 1));
  const order = readOrder(orderText(request, query));
  if (order === "invalid") return messageAnswer(400, "Penstock-Rollout must be 'staged' or 'immediate'");
  const asked: RestRequest = {
    path: path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path,
    params: found.params,
    query,
    body: read.body,
    secrets: () => secretAccess(request),
    signal,
  };
  return order === null ? endpoint(asked) : withOrder(order, () => endpoint(asked));
}

/** How the writes of a request are to reach the fleet, in a header or, for clients that set none, in the query. */
function orderText(request: IncomingMessage, query: URLSearchParams): string | null {
  const header = request.headers["penstock-rollout"];
  return typeof header === "string" ? header : query.get("rollout");
}
