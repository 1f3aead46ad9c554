const SLASH = 0x2f;
const DOT = 0x2e;
const SEMICOLON = 0x3b;
const PERCENT = 0x25;
const isDotSegment = /^(?:\.{1,2}(?:\/|%2F|$)|\.{0,2}(?:;|%3B))/i;

/**
 * The request target for the upstream: service path, then the request path (without what the route matched,
 * when it strips), joined with exactly one slash, then the query as it came.
 *
 * Source: Kong's path handling v0; v1 is treated the same, as Kong's default router does.
 * @param servicePath begins with "/"; null = "/"
 * @param path normalised request path
 * @param matchedChars how many characters of it the route matched
 * @param query "" or from "?" on; a lone "?" stays
 */
export function rewritePath(
  servicePath: string | null,
  path: string,
  matchedChars: number,
  stripPath: boolean,
  query: string,
): string {
  const base = servicePath ?? "/";
  if (path === "/") return base + query;
  const rest = stripPath ? withoutDotSegment(path.slice(matchedChars)) : path;
  const joined = rest === "" ? finishBase(base, endsInSlash(path)) : joinPaths(base, rest);
  return query === "" ? joined : joined + query;
}

function joinPaths(base: string, rest: string): string {
  const stem = endsInSlash(base) ? base.slice(0, -1) : base;
  return rest.charCodeAt(0) === SLASH ? stem + rest : `${stem}/${rest}`;
}

/** All of the path was stripped: the service path, with or without its slash as the request had it. */
function finishBase(base: string, withSlash: boolean): string {
  if (base === "/" || endsInSlash(base) === withSlash) return base;
  return withSlash ? `${base}/` : base.slice(0, -1);
}

/**
 * A prefix may end inside a segment: `/route../x` stripped of `/route` begins with `../`, which would climb out
 * of the service path. Such a first segment (also `..;x`, which some servers take for dots) is dropped, and so is `;x` alone.
 */
function withoutDotSegment(rest: string): string {
  const first = rest.charCodeAt(0);
  if (first !== DOT && first !== SEMICOLON && first !== PERCENT) return rest;
  if (!isDotSegment.test(rest)) return rest;
  const slash = rest.indexOf("/");
  return slash === -1 ? "" : rest.slice(slash + 1);
}

function endsInSlash(path: string): boolean {
  return path.charCodeAt(path.length - 1) === SLASH;
}
