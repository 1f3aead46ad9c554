import type { RouteConfig } from "../config/worker-config.ts";
import { isPathPattern } from "./path-pattern.ts";
import { hasValues } from "./route-conditions.ts";

/** One path of a route (or the route, when it has none), with all that decides its place. */
export interface RankedPath {
  readonly route: RouteConfig;
  readonly routeIndex: number;
  readonly path: string | null;
  /** How many of methods, hosts, headers, paths and server names the route asks for. */
  readonly kindCount: number;
  readonly hasPlainHosts: boolean;
  readonly headerCount: number;
  readonly isPattern: boolean;
  readonly regexPriority: number;
  readonly plainChars: number;
}

const httpProtocols: ReadonlySet<string> = new Set(["http", "https", "grpc", "grpcs"]);

/** One for each path of a route; none for a route that HTTP requests cannot take. */
export function pathsToRank(route: RouteConfig, routeIndex: number): RankedPath[] {
  if (!route.protocols.some((protocol) => httpProtocols.has(protocol))) return [];
  const kinds = [route.methods, route.hosts, route.headers, route.paths, route.snis];
  const kindCount = kinds.filter((kind) => hasValues<unknown>(kind)).length;
  const hasPlainHosts = hasValues(route.hosts) && !route.hosts.some((host) => host.includes("*"));
  const paths: readonly (string | null)[] = hasValues(route.paths) ? route.paths : [null];
  return paths.map((path) => {
    const isPattern = path !== null && isPathPattern(path);
    return {
      route,
      routeIndex,
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
