import type { RouteConfig } from "../config/worker-config.ts";
import { takesHost } from "./host-index.ts";
import { compilePathPattern, isPathPattern } from "./path-pattern.ts";
import { comparePaths, pathsToRank, type RankedPath } from "./rank-paths.ts";
import {
  compileConditions,
  hasValues,
  meetsHeader,
  meetsMethod,
  meetsProtocol,
  meetsServerName,
  type RouteConditions,
} from "./route-conditions.ts";
import type { RouteInput } from "./route-input.ts";
import type { RouteTable } from "./route-table.ts";

/** Why each route takes a request or does not. */
export interface RoutesExplanation {
  /** What `matchRoute` finds; null for nothing. */
  readonly matched: MatchedPath | null;
  /** Nearest first: those that match, then those with one reason, and so on, each in the order of the config. */
  readonly others: readonly PassedRoute[];
  /** Routes beyond those. */
  readonly moreCount: number;
}

/** A path of a route, with what decides its place, and how much of the request's path it matched. */
export interface MatchedPath {
  readonly ranked: RankedPath;
  readonly matchedChars: number;
}

/** A route that does not take the request. */
export interface PassedRoute {
  readonly route: RouteConfig;
  /** Never empty. */
  readonly reasons: readonly string[];
  /** It would take the request, did not another one. */
  readonly matches: boolean;
}

interface Missed {
  readonly route: RouteConfig;
  readonly conditions: RouteConditions;
  readonly unmet: readonly Unmet[];
}

/** What a route asks for and a request is not; a header by its index. */
type Unmet = "protocols" | "protocol" | "host" | "path" | "method" | "sni" | number;

/** Of a list in a reason. */
const listedMaxCount = 5;
const textMaxLength = 100;

/**
 * Goes through all routes with the predicates that the table's search goes by. It takes a step for each route, which the
 * caller may spread over turns of the event loop: a thousand routes take some milliseconds, regular expressions more.
 *
 * @param listMax routes that are told of, beside the one that matched
 */
export function* explainRoutes(
  table: RouteTable,
  input: RouteInput,
  listMax: number,
): Generator<void, RoutesExplanation> {
  let matched: MatchedPath | null = null;
  const losers: RankedPath[] = [];
  /** By how many things there are that the request is not. */
  const missed: Missed[][] = [];
  for (const route of table.routes) {
    yield;
    if (route === null) continue;
    const conditions = compileConditions(route);
    const paths = pathsToRank(route);
    const path = bestPath(paths, input);
    const unmet = unmetOf(route, conditions, input, path !== null || paths.length === 0);
    if (unmet.length > 0) {
      missed[unmet.length] ??= [];
      if (missed[unmet.length]!.length < listMax) missed[unmet.length]!.push({ route, conditions, unmet });
      continue;
    }
    const wins = matched === null || comparePaths(path!.ranked, matched.ranked) < 0;
    const loser = wins ? matched : path;
    if (wins) matched = path;
    if (loser !== null && losers.length < listMax) losers.push(loser.ranked);
  }
  const winner: MatchedPath | null = matched;
  const beaten = losers.map((loser): PassedRoute => {
    return { route: loser.route, reasons: [whyBeaten(loser, winner!.ranked)], matches: true };
  });
  const others = [...beaten, ...missed.flat().map((one) => passedRoute(one, input))].slice(0, listMax);
  const otherCount = table.routeCount - (matched === null ? 0 : 1);
  return { matched, others, moreCount: otherCount - others.length };
}

/** Of a route's paths that the request is under, the one that goes first. */
function bestPath(paths: readonly RankedPath[], input: RouteInput): MatchedPath | null {
  let best: MatchedPath | null = null;
  for (const ranked of paths) {
    const matchedChars = charsMatched(ranked.path, input.path);
    if (matchedChars < 0) continue;
    if (best === null || comparePaths(ranked, best.ranked) < 0) best = { ranked, matchedChars };
  }
  return best;
}

/** @returns -1 where the path does not match */
function charsMatched(path: string | null, requestPath: string): number {
  if (path === null) return 0;
  if (isPathPattern(path)) return compilePathPattern(path).matchedChars(requestPath);
  return requestPath.startsWith(path) ? path.length : -1;
}

function unmetOf(
  route: RouteConfig,
  conditions: RouteConditions,
  input: RouteInput,
  isUnderPath: boolean,
): readonly Unmet[] {
  const unmet: Unmet[] = [];
  if (pathsToRank(route).length === 0) unmet.push("protocols");
  else if (!meetsProtocol(conditions, input)) unmet.push("protocol");
  if (hasValues(route.hosts) && !route.hosts.some((host) => takesHost(host, input))) unmet.push("host");
  if (!isUnderPath) unmet.push("path");
  if (!meetsMethod(conditions, input)) unmet.push("method");
  for (const [i, header] of (conditions.headers ?? []).entries()) {
    if (!meetsHeader(header, input.headers)) unmet.push(i);
  }
  if (!meetsServerName(conditions, input)) unmet.push("sni");
  return unmet;
}

function passedRoute({ route, conditions, unmet }: Missed, input: RouteInput): PassedRoute {
  return { route, reasons: unmet.map((one) => reasonOf(one, route, conditions, input)), matches: false };
}

function reasonOf(unmet: Unmet, route: RouteConfig, conditions: RouteConditions, input: RouteInput): string {
  switch (unmet) {
    case "protocols":
      return `for ${listed(route.protocols)}, not for HTTP`;
    case "protocol":
      return `for ${listed(route.protocols)}, not for https`;
    case "host":
      return input.host === ""
        ? `the request has no host, and it asks for one of ${listed(route.hosts!)}`
        : `host ${clipped(hostText(route.hosts!, input))} is none of ${listed(route.hosts!)}`;
    case "path":
      return `path ${clipped(input.path)} is under none of ${listed(route.paths!)}`;
    case "method":
      return `method ${input.method} is none of ${listed(route.methods!)}`;
    case "sni":
      return input.sni === ""
        ? `the connection has no server name, and it asks for one of ${listed(route.snis!)}`
        : `server name ${clipped(input.sni)} is none of ${listed(route.snis!)}`;
    default:
      return headerReason(unmet, route, conditions, input);
  }
}

/** With the port where any of the hosts has one, since it may be what differs. */
function hostText(hosts: readonly string[], { host, port }: RouteInput): string {
  return hosts.some((rule) => /:[0-9]+$/.test(rule)) ? `${host}:${port}` : host;
}

function headerReason(index: number, route: RouteConfig, conditions: RouteConditions, input: RouteInput): string {
  const { name, values } = route.headers![index]!;
  const sent = conditions.headers![index]!.names.flatMap((spelling) => input.headers.values(spelling));
  if (sent.length === 0) return `there is no header ${name}, and it asks for one of ${listed(values)}`;
  return `header ${name}: ${listed(sent)} is none of ${listed(values)}`;
}

/** The first thing that `comparePaths` tells the two by. */
function whyBeaten(loser: RankedPath, winner: RankedPath): string {
  const name = clipped(winner.route.name ?? winner.route.id);
  const because = (text: string) => `lower priority than ${name}: ${text}`;
  if (loser.kindCount !== winner.kindCount)
    return because(
      `that asks for ${winner.kindCount} of methods, hosts, headers, paths, snis, this for ${loser.kindCount}`,
    );
  if (loser.hasPlainHosts !== winner.hasPlainHosts) return because("that has hosts, and no wildcard among them");
  if (loser.headerCount !== winner.headerCount)
    return because(`that asks for ${winner.headerCount} headers, this for ${loser.headerCount}`);
  if (loser.isPattern !== winner.isPattern) return because("that has a regular expression, this a prefix");
  if (loser.regexPriority !== winner.regexPriority)
    return because(`that has regex_priority ${winner.regexPriority}, this ${loser.regexPriority}`);
  if (loser.plainChars !== winner.plainChars)
    return because(`that has the longer path ${clipped(winner.path ?? "")}, this ${clipped(loser.path ?? "")}`);
  if (loser.route.createdAtMs !== winner.route.createdAtMs) return because("that is older");
  return because("that has the smaller id");
}

function listed(texts: readonly string[]): string {
  const rest = texts.length - listedMaxCount;
  const shown = texts.slice(0, listedMaxCount).map(clipped).join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function clipped(text: string): string {
  return text.length <= textMaxLength ? text : `${text.slice(0, textMaxLength - 3)}...`;
}
