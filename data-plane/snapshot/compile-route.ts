import type { Route, RouteLimits } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { ProtocolName, RouteConfig } from "../config/worker-config.ts";
import { checkHeaderPattern, checkPathPattern } from "../route/path-pattern.ts";
import { plainServerName } from "../tls/client-hello.ts";
import { compileRetry } from "./compile-resilience.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { protocolName } from "./protocol-name.ts";
import { timeoutMessage, wholeMs } from "./whole-ms.ts";

const REDIRECT_STATUSES: readonly number[] = [426, 301, 302, 307, 308];

/** A route as workers get it, less its service, or the first thing in it that they could not work with. */
export function compileRoute(route: Route): Compiled<Omit<RouteConfig, "serviceIndex">> {
  const protocols: ProtocolName[] = [];
  for (const [i, protocol] of route.protocols.entries()) {
    const name = protocolName(protocol);
    if (name === null) return invalid(`protocols[${i}]`, `unknown protocol number ${protocol}`);
    protocols.push(name);
  }
  const listProblem =
    checkMethods(route) ?? checkHosts(route) ?? checkPaths(route) ?? checkHeaders(route) ?? checkSnis(route);
  if (listProblem !== null) return listProblem;
  const httpsRedirectStatus = route.httpsRedirectStatusCode ?? 426;
  if (!REDIRECT_STATUSES.includes(httpsRedirectStatus)) {
    return invalid(
      "https_redirect_status_code",
      `${httpsRedirectStatus} is not one of ${REDIRECT_STATUSES.join(", ")}`,
    );
  }
  const limits = compileLimits(route.limits);
  if (!limits.ok) return limits;
  const retry = compileRetry(route.retry, "retry");
  if (!retry.ok) return retry;
  const headers = Object.entries(route.headers).map(([name, { values }]) => ({ name, values }));
  const isGrpc = route.protocols.some((protocol) => protocol === Protocol.GRPC || protocol === Protocol.GRPCS);
  return compiled({
    id: route.id,
    name: route.name ?? null,
    createdAtMs: route.createdAt ? Number(route.createdAt.seconds) * 1000 + route.createdAt.nanos / 1e6 : 0,
    protocols: protocols.length > 0 ? protocols : ["http", "https"],
    methods: nullWhenEmpty(route.methods),
    hosts: nullWhenEmpty(route.hosts),
    paths: nullWhenEmpty(route.paths),
    headers: nullWhenEmpty(headers),
    snis: nullWhenEmpty(route.snis.map(plainServerName)),
    regexPriority: route.regexPriority ?? 0,
    stripPath: route.stripPath ?? !isGrpc,
    preserveHost: route.preserveHost ?? false,
    httpsRedirectStatus,
    ...limits.value,
    retry: route.retry === undefined ? null : retry.value,
  });
}

type CompiledLimits = Pick<RouteConfig, "bodyMaxBytes" | "totalTimeoutMs" | "allowsEncodedSlashes">;

function compileLimits(limits: RouteLimits | undefined): Compiled<CompiledLimits> {
  const bodyMaxBytes = limits?.requestBodyMaxBytes === undefined ? null : Number(limits.requestBodyMaxBytes);
  if (bodyMaxBytes !== null && !(bodyMaxBytes >= 0 && bodyMaxBytes <= Number.MAX_SAFE_INTEGER)) {
    return invalid("limits.request_body_max_bytes", `must be between 0 and ${Number.MAX_SAFE_INTEGER}`);
  }
  const timeout = limits?.totalTimeout;
  const totalTimeoutMs = timeout === undefined ? null : wholeMs(timeout);
  if (timeout !== undefined && totalTimeoutMs === null) return invalid("limits.total_timeout", timeoutMessage);
  return compiled({ bodyMaxBytes, totalTimeoutMs, allowsEncodedSlashes: limits?.allowEncodedSlashes ?? false });
}

/** An empty list is stored as null: it restricts nothing. */
function nullWhenEmpty<T>(list: readonly T[]): readonly T[] | null {
  return list.length === 0 ? null : list;
}

function checkMethods(route: Route): Compiled<never> | null {
  const at = route.methods.indexOf("");
  return at === -1 ? null : invalid(`methods[${at}]`, "is empty");
}

function checkHosts(route: Route): Compiled<never> | null {
  for (const [i, host] of route.hosts.entries()) {
    const labels = host.replace(/:[0-9]{1,5}$/, "").split(".");
    const wildcardAt = labels.indexOf("*");
    const starCount = host.split("*").length - 1;
    if (host === "") return invalid(`hosts[${i}]`, "is empty");
    if (starCount > 1) return invalid(`hosts[${i}]`, "more than one wildcard");
    if (starCount === 1 && wildcardAt !== 0 && wildcardAt !== labels.length - 1) {
      return invalid(`hosts[${i}]`, "the wildcard must be the leftmost or the rightmost label");
    }
  }
  return null;
}

function checkSnis(route: Route): Compiled<never> | null {
  for (const [i, sni] of route.snis.entries()) {
    const labels = plainServerName(sni).split(".");
    const starCount = sni.split("*").length - 1;
    if (labels.some((label) => label === "")) return invalid(`snis[${i}]`, "is empty, or has an empty label");
    if (starCount > 1) return invalid(`snis[${i}]`, "more than one wildcard");
    if (starCount === 1 && labels[0] !== "*" && labels.at(-1) !== "*") {
      return invalid(`snis[${i}]`, "the wildcard must be the leftmost or the rightmost label");
    }
  }
  return null;
}

function checkPaths(route: Route): Compiled<never> | null {
  for (const [i, path] of route.paths.entries()) {
    if (path.startsWith("~")) {
      const problem = checkPathPattern(path);
      if (problem !== null) return invalid(`paths[${i}]`, problem);
    } else if (!path.startsWith("/")) {
      return invalid(`paths[${i}]`, 'must begin with "/" or "~"');
    }
  }
  return null;
}

function checkHeaders(route: Route): Compiled<never> | null {
  for (const [name, { values }] of Object.entries(route.headers)) {
    if (name === "") return invalid("headers", "a header without name");
    // Among several values a leading "~*" is taken literally, as in Kong.
    const problem = values.length === 1 && values[0]!.startsWith("~*") ? checkHeaderPattern(values[0]!) : null;
    if (problem !== null) return invalid(`headers.${name}`, problem);
  }
  return null;
}
