import type { Admin } from "../../admin/resource-admin.ts";
import type { HealthReader, UpstreamHealth } from "../../admin/upstream-health.ts";
import type { MergedTarget } from "../../observation/merge-health.ts";
import type { Fleet } from "../../sync/fleet.ts";
import { kongShapes, type RecordShape } from "./kong-shape.ts";
import { pageAnswer, parseListQuery } from "./list-query.ts";
import { parseDuration } from "./parse-duration.ts";
import {
  printBalancerHost,
  printEndpoints,
  printPoolWeight,
  printReplaced,
  printState,
  printTargetData,
  printView,
} from "./print-health.ts";
import { printRecord, printResource } from "./print-resource.ts";
import { problemAnswer } from "./problem-answer.ts";
import { type Answer, type Endpoint, messageAnswer, type RestRequest } from "./rest-answer.ts";
import type { RestRoute } from "./rest-routes.ts";
import { writeHeaders } from "./write-headers.ts";
import { parseWait, waitForNodes } from "./write-wait.ts";

export interface HealthFace {
  readonly admin: Admin;
  readonly fleet: Fleet;
  readonly health: HealthReader;
  /** Who answers; Kong's clients show it. */
  readonly nodeId: string;
}

const expiresMinMs = 1_000;
const expiresMaxMs = 365 * 86_400_000;

/** Every path of health; `:key` and `:parent` are ids or names. */
export function healthRoutes(face: HealthFace): Readonly<Record<string, RestRoute>> {
  const decide = (isHealthy: boolean): RestRoute => {
    const endpoint: Endpoint = (request) => setHealth(face, request, isHealthy);
    // Kong takes PUT since 3.0, and took POST before.
    return { PUT: endpoint, POST: endpoint };
  };
  return {
    "/upstreams/:key/health": { GET: (request) => upstreamHealth(face, request) },
    "/upstreams/:key/resilience": { GET: (request) => resilience(face, request) },
    "/services/:key/health": { GET: (request) => serviceHealth(face, request) },
    "/upstreams/:parent/targets/:key/healthy": decide(true),
    "/upstreams/:parent/targets/:key/unhealthy": decide(false),
    "/upstreams/:parent/targets/:key/:address/healthy": decide(true),
    "/upstreams/:parent/targets/:key/:address/unhealthy": decide(false),
  };
}

function upstreamHealth(face: HealthFace, request: RestRequest): Answer {
  const parsed = parseListQuery(request.query);
  if (!parsed.ok) return parsed.answer;
  const parent = request.params["key"] ?? "";
  const found = face.health.upstream(parent);
  if (!found.ok) return problemAnswer("upstream", found.problems);
  const isOfBalancer = ["1", "true"].includes(request.query.get("balancer_health") ?? "");
  if (isOfBalancer) return balancerHealth(face, found.value);
  const page = face.admin.target.list({ ...parsed.query, parent });
  if (!page.ok) return problemAnswer("target", page.problems);
  const merged = new Map(found.value.merged.targets.map((target) => [target.id, target]));
  const rows = page.value.rows.map((row) => {
    const target = merged.get(row.id)!;
    return { ...printResource("target", row), health: printState(target.state), data: printTargetData(target) };
  });
  const answer = pageAnswer(request.path, request.query, rows, page.value.nextPageToken);
  return { ...answer, body: { ...(answer.body as object), node_id: face.nodeId } };
}

function balancerHealth({ nodeId }: HealthFace, { id, merged }: UpstreamHealth): Answer {
  const receives = ({ weight }: MergedTarget) => weight > 0;
  const isHealthy = merged.state !== "UNHEALTHY" && merged.targets.some(receives);
  const data = {
    id,
    health: merged.state === "HEALTHY" || merged.state === "UNHEALTHY" ? merged.state : "HEALTHCHECKS_OFF",
    balancer_health: isHealthy ? "HEALTHY" : "UNHEALTHY",
    details: {
      healthy: isHealthy,
      weight: printPoolWeight(merged.targets),
      hosts: merged.targets.map(printBalancerHost),
    },
  };
  return { status: 200, body: { data, next: null, node_id: nodeId } };
}

function serviceHealth({ admin, health, nodeId }: HealthFace, request: RestRequest): Answer {
  const key = request.params["key"] ?? "";
  const service = admin.service.get({ key });
  const found = health.service(key);
  if (!service.ok) return problemAnswer("service", service.problems);
  if (!found.ok) return problemAnswer("service", found.problems);
  const { id, state, endpoints } = found.value;
  const unresolved = endpoints.find(({ address }) => address === "");
  const data = {
    id,
    host: service.value.host,
    port: service.value.port,
    health: printState(state),
    addresses: printEndpoints(endpoints),
    unresolved: unresolved?.views.map(printView) ?? [],
  };
  return { status: 200, body: { data, next: null, node_id: nodeId } };
}

const resilienceShape = kongShapes.upstream.fields.get("resilience")!.shape as RecordShape;

function resilience({ health }: HealthFace, request: RestRequest): Answer {
  const found = health.upstream(request.params["key"] ?? "");
  if (!found.ok) return problemAnswer("upstream", found.problems);
  const { id, effective } = found.value;
  return {
    status: 200,
    body: {
      upstream: { id },
      resilience: printRecord(resilienceShape, effective.resilience),
      replaced_defaults: effective.replaced.map(printReplaced),
    },
  };
}

async function setHealth(face: HealthFace, request: RestRequest, isHealthy: boolean): Promise<Answer> {
  const wait = parseWait(request.query);
  if (!wait.ok) return messageAnswer(400, wait.message);
  const expiresIn = request.query.get("expires_in");
  const expiresInMs = expiresIn === null ? null : parseDuration(expiresIn);
  if (expiresInMs !== null && !(expiresInMs >= expiresMinMs && expiresInMs <= expiresMaxMs))
    return messageAnswer(400, "expires_in must be a time from 1s to 365d, such as 30s, 10m or 12h");
  const { parent = "", key = "", address = "" } = request.params;
  const decided = await face.admin.setTargetHealth({ upstream: parent, target: key, address, isHealthy, expiresInMs });
  if (!decided.ok) {
    const wrong = decided.problems.find(({ code }) => code === "invalid");
    return wrong === undefined ? problemAnswer("target", decided.problems) : messageAnswer(400, wrong.message);
  }
  const { revision } = decided.value;
  const applied = await waitForNodes(face.fleet, revision, wait.wait, request.signal);
  return { status: 204, headers: writeHeaders(revision, applied, []) };
}
