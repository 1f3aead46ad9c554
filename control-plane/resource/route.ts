import { create } from "@bufbuild/protobuf";
import ipaddr from "ipaddr.js";
import {
  PathHandling,
  type Peer,
  type Route,
  type RouteLimits,
  RouteSchema,
} from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { Problem } from "./checked.ts";
import type { Draft } from "./draft.ts";
import { checkHeaders } from "./header-rules.ts";
import { checkNodeSelector } from "./node-selector.ts";
import { checkText, checkTexts, invalid } from "./problems.ts";
import { regexSize } from "./regex-size.ts";
import { checkRouteRetry, normalizeRetry } from "./resilience.ts";
import { distinct, nameKey, type ResourceRules } from "./resource-rules.ts";
import { checkRouteProtocols } from "./route-protocols.ts";
import {
  checkName,
  checkRouteHeaderValue,
  checkRouteHost,
  checkRoutePath,
  checkRouteServerName,
  checkTag,
  regexMaxLength,
} from "./text-rules.ts";

const defaults: Route = create(RouteSchema, {
  protocols: [Protocol.HTTP, Protocol.HTTPS],
  regexPriority: 0,
  stripPath: true,
  pathHandling: PathHandling.V0,
  preserveHost: false,
  httpsRedirectStatusCode: 426,
  requestBuffering: true,
  responseBuffering: true,
});

/** A new gRPC route keeps its path, since the path is what names the method. */
function withImplied(draft: Draft<Route>, stored: Route | null): Draft<Route> {
  const first = draft.message.protocols[0];
  const isGrpc = draft.paths.includes("protocols") && (first === Protocol.GRPC || first === Protocol.GRPCS);
  if (stored !== null || !isGrpc || draft.paths.includes("strip_path")) return draft;
  return { message: { ...draft.message, stripPath: false }, paths: [...draft.paths, "strip_path"] };
}

/** Steps of all regular expressions of a route together: every node compiles them, and this many take about 0.2 s. */
const regexStepsMaxCount = 200_000;

function check(route: Route): readonly Problem[] {
  const tooLarge = checkRegexSizes(route);
  // Told alone: the other rules would compile them.
  if (tooLarge.length > 0) return tooLarge;
  return [
    ...checkText("name", route.name, checkName),
    ...checkTexts("methods", route.methods, (method) => (/^[A-Z]+$/.test(method) ? null : `invalid value: ${method}`)),
    ...checkTexts("hosts", route.hosts, checkRouteHost),
    ...checkTexts("paths", route.paths, checkRoutePath),
    ...checkRouteHeaders(route),
    ...checkTexts("snis", route.snis, checkRouteServerName),
    ...checkPeers("sources", route.sources),
    ...checkPeers("destinations", route.destinations),
    ...checkNodeSelector(route.nodeSelector),
    ...checkTexts("tags", route.tags, checkTag),
    ...checkLimits(route.limits),
    ...checkRouteRetry("retry", route.retry),
    ...checkRouteProtocols(route),
  ];
}

function checkRegexSizes({ paths, headers }: Route): readonly Problem[] {
  const regexes = [
    ...paths.filter((path) => path.startsWith("~")),
    ...Object.values(headers).flatMap(({ values }) => values.filter((value) => value.startsWith("~*"))),
  ];
  // Longer ones are refused unread.
  const read = regexes.filter((regex) => regex.length <= regexMaxLength);
  const stepCount = read.reduce((sum, regex) => sum + regexSize(regex), 0);
  if (stepCount <= regexStepsMaxCount) return [];
  const message = `regular expressions are too large: ${stepCount} steps with their repeats written out, at most ${regexStepsMaxCount}`;
  return [invalid("", message)];
}

function checkRouteHeaders(route: Route): readonly Problem[] {
  if (Object.keys(route.headers).some((name) => name.toLowerCase() === "host"))
    return [invalid("headers", "cannot contain 'host' header, which must be specified in the 'hosts' attribute")];
  return checkHeaders("headers", route.headers, checkRouteHeaderValue);
}

function checkPeers(field: string, peers: readonly Peer[]): readonly Problem[] {
  return peers.flatMap((peer, i) => {
    if (peer.ip === undefined && peer.port === undefined)
      return [invalid(`${field}.${i}`, "at least one of these fields must be non-empty: 'ip', 'port'")];
    return checkText(`${field}.${i}.ip`, peer.ip, (ip) =>
      isAddressOrBlock(ip) ? null : `invalid ip or cidr range: '${ip}'`,
    );
  });
}

/** The nodes count in milliseconds, so that a smaller part would be lost silently. */
function checkLimits(limits: RouteLimits | undefined): readonly Problem[] {
  const nanos = limits?.totalTimeout?.nanos ?? 0;
  return nanos % 1_000_000 === 0 ? [] : [invalid("limits.total_timeout", "expected whole milliseconds")];
}

/** A record in which nothing is set says nothing. */
function withoutEmpty(limits: RouteLimits | undefined): { readonly limits?: RouteLimits } {
  const isEmpty =
    limits === undefined ||
    (limits.requestBodyMaxBytes === undefined &&
      limits.totalTimeout === undefined &&
      limits.allowEncodedSlashes === undefined);
  return isEmpty ? {} : { limits };
}

function isAddressOrBlock(text: string): boolean {
  if (text.includes("%")) return false;
  return text.includes("/")
    ? ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

/** Rules of routes. */
export const routeRules: ResourceRules<"route"> = {
  kind: "route",
  collection: "routes",
  schema: RouteSchema,
  defaults,
  required: [
    "protocols",
    "https_redirect_status_code",
    "strip_path",
    "preserve_host",
    "request_buffering",
    "response_buffering",
  ],
  references: [{ path: "service", toKind: "service", toCollection: "services" }],
  secrets: [],
  withImplied,
  normalize: ({ limits, retry, ...route }) => {
    const keptRetry = normalizeRetry(retry);
    return {
      ...route,
      ...withoutEmpty(limits),
      ...(keptRetry === undefined ? {} : { retry: keptRetry }),
      protocols: distinct(route.protocols),
      methods: distinct(route.methods),
      snis: distinct(route.snis),
      nodeSelector: distinct(route.nodeSelector),
      tags: distinct(route.tags),
    };
  },
  check,
  uniqueKeys: (route) => nameKey(route.name),
};
