/** The headers of a request by which a browser gives a foreign page away. */
export interface Caller {
  readonly method: string;
  /** Host, and for HTTP/2 `:authority`; whichever the request has. */
  readonly authorities: readonly string[];
  readonly origin: string | undefined;
  /** Sec-Fetch-Site. */
  readonly fetchSite: string | undefined;
}

/** Methods that change nothing: a foreign page may send them, and cannot read the answers without CORS. */
const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

const authorityPattern = /^(\[[0-9a-f:.]+\]|[^\s:@/?#[\]]+)(?::\d{1,5})?$/i;

/**
 * Why a request must be refused with 403; null when it may pass.
 *
 * A Host that is not ours is a page whose name was rebound to our address (DNS rebinding): the browser then takes us
 * for the page's own server. A write with a foreign Origin is a page that posts to us in its visitor's name; programs
 * other than browsers send neither Origin nor Sec-Fetch-Site.
 *
 * @param allowedHosts lower-case, without port, IPv6 addresses in brackets
 */
export function checkCaller(caller: Caller, allowedHosts: ReadonlySet<string>): string | null {
  const { authorities, method, origin, fetchSite } = caller;
  if (authorities.length === 0) return "the request names no Host";
  for (const authority of authorities) {
    const host = authorityPattern.exec(authority)?.[1]?.toLowerCase();
    if (host === undefined || !allowedHosts.has(host))
      return `Host ${quoted(authority)} is not served here; allow it with --admin-hosts`;
  }
  if (safeMethods.has(method)) return null;
  if (origin !== undefined && !authorities.every((authority) => isSameOrigin(origin, authority)))
    return `a write from origin ${quoted(origin)} is not allowed`;
  // "none" is what a user types or a bookmark opens.
  const site = fetchSite?.trim().toLowerCase();
  if (site !== undefined && site !== "same-origin" && site !== "none")
    return `a write that a browser sends from another site (${quoted(site)}) is not allowed`;
  return null;
}

/** Whether a page of this origin was served under this authority; the scheme is the origin's, as TLS may end before us. */
function isSameOrigin(origin: string, authority: string): boolean {
  const page = URL.parse(origin);
  if (page === null || (page.protocol !== "http:" && page.protocol !== "https:")) return false;
  return URL.parse(`${page.protocol}//${authority}`)?.host === page.host;
}

/** Header text, made fit to be printed. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
