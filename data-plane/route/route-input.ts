import type { RouteConfig } from "../config/worker-config.ts";
import type { PathPattern } from "./path-pattern.ts";

/** The request's header fields, asked only when a route that could match has header rules. */
export interface HeaderLookup {
  /** Every value of the field, in order; empty when it is absent. */
  values(lowerName: string): readonly string[];
}

/** What of a request decides its route. */
export interface RouteInput {
  readonly protocol: "http" | "https";
  readonly method: string;
  /** Lower case, without port; "" when the request has none. */
  readonly host: string;
  /** The Host header's port when it has one, else the listener's. */
  readonly port: number;
  /** As normalizePath returned it, without query. */
  readonly path: string;
  readonly headers: HeaderLookup;
  /** The server name of the TLS connection, lower case, without trailing dot; "" without one. */
  readonly sni: string;
}

/** The route of a request. Shared by all requests that match the same way: never written to. */
export interface RouteMatch {
  readonly route: RouteConfig;
  /** Where the route stands among those of its table. */
  readonly slot: number;
  /** Else a plain request is told to come over TLS. */
  readonly takesPlainHttp: boolean;
  /** false: the route has no paths. */
  readonly hasPath: boolean;
  /** Characters of the path that the route matched; 0 without paths. */
  readonly matchedChars: number;
  /** The regular expression that did; null where it was none. */
  readonly pattern: PathPattern | null;
}
