import type { RouteConfig } from "../config/worker-config.ts";
import { isPathPattern } from "./path-pattern.ts";
import { hasValues } from "./route-conditions.ts";

/** One path of a route (or the route, when it has none), with all that decides its place. */
export interface RankedPath {
  readonly route: RouteConfig;
  readonly path: string | null;
  /** How many of methods, hosts, headers, paths and server names the route asks for. */
  readonly kindCount: number;
  readonly hasPlainHosts: boolean;
  readonly headerCount: number;
  readonly isPattern: boolean;
  readonly regexPriority: number;
  readonly plainChars: number;
}

const anyPath: readonly null[] = [null];
const httpProtocols: ReadonlySet<string> = new Set(["http", "https", "grpc", "grpcs"]);

/** One for each path of a route; none for a route that HTTP requests cannot take. */
export function pathsToRank(route: RouteConfig): RankedPath[] {
  if (!route.protocols.some((protocol) => httpProtocols.has(protocol))) return [];
  const kindCount =
    Number(hasValues(route.methods)) +
    Number(hasValues(route.hosts)) +
    Number(hasValues(route.headers)) +
    Number(hasValues(route.paths)) +
    Number(hasValues(route.snis));
  const hasPlainHosts = hasValues(route.hosts) && !route.hosts.some((host) => host.includes("*"));
  const paths = hasValues(route.paths) ? route.paths : anyPath;
  return paths.map((path) => {
    const isPattern = path !== null && isPathPattern(path);
    return {
      route,
      path,
      kindCount,
      hasPlainHosts,
      headerCount: Math.min(route.headers?.length ?? 0, 255),
      isPattern,
      regexPriority: isPattern ? route.regexPriority : 0,
      plainChars: isPattern || path === null ? 0 : path.length,
    };
  });
}

/** regex_priority is a signed number of 32 bits, and no path is longer than that. */
const valueOffset = 2 ** 31;
const valueMax = 2 ** 32;

/**
 * All that a path is ranked by before its route's age and id, in one number: the smaller one goes first. 45 bits of the
 * 53 that a number holds exactly.
 */
export function rankOf(path: RankedPath): number {
  const { kindCount, hasPlainHosts, headerCount, isPattern } = path;
  const kinds = ((kindCount * 2 + Number(hasPlainHosts)) * 256 + headerCount) * 2 + Number(isPattern);
  const value = isPattern ? path.regexPriority : path.plainChars;
  return -(kinds * valueMax + value + valueOffset);
}

/** Best first. Kong leaves the order of equals open; here the oldest route wins, then the smallest id. */
export function comparePaths(a: RankedPath, b: RankedPath): number {
  return (
    b.kindCount - a.kindCount ||
    Number(b.hasPlainHosts) - Number(a.hasPlainHosts) ||
    b.headerCount - a.headerCount ||
    Number(b.isPattern) - Number(a.isPattern) ||
    b.regexPriority - a.regexPriority ||
    b.plainChars - a.plainChars ||
    a.route.createdAtMs - b.route.createdAtMs ||
    (a.route.id < b.route.id ? -1 : a.route.id > b.route.id ? 1 : 0)
  );
}
