/** Which endpoints of a pool get requests, and how many at once, with every default filled in. docs/balancing.md. */
export interface BalancingConfig {
  /** What consistent hashing hashes; null for every other algorithm. */
  readonly hash: HashConfig | null;
  /** The cookie of sticky sessions; null for every other algorithm. */
  readonly sticky: CookieConfig | null;
  readonly failover: FailoverConfig;
  /** null = an endpoint has all of its share at once. */
  readonly slowStart: SlowStartConfig | null;
  /** null = zones make no difference. */
  readonly zones: ZonesConfig | null;
  /** null = any number of requests may be under way, but for `EndpointConfig.maxInFlight`. */
  readonly inFlight: InFlightConfig | null;
}

export interface HashConfig {
  readonly on: HashInputConfig;
  /** Where `on` finds nothing in a request; null, or nothing there either = the client's address. */
  readonly fallback: HashInputConfig | null;
  /** Times its share of what is under way that an endpoint may have; null = any number. */
  readonly boundedLoad: number | null;
}

/** Header names are in lower case. */
export type HashInputConfig =
  | { readonly kind: "ip" | "path" | "consumer" }
  | { readonly kind: "header" | "query_arg" | "uri_capture"; readonly name: string }
  | ({ readonly kind: "cookie" } & CookieConfig);

/** A cookie that is given to clients without one. Source: RFC 6265. */
export interface CookieConfig {
  readonly name: string;
  readonly path: string;
}

/** Tiers are the values of `EndpointConfig.priority`. */
export interface FailoverConfig {
  /** 0 to 100: of a tier's weight, what has to be available for it to take all requests; 0 = anything. */
  readonly overflowThresholdPercent: number;
  readonly failBackDelayMs: number;
}

export interface SlowStartConfig {
  /** Above 0. */
  readonly windowMs: number;
  /** Share of its weight that an endpoint begins with, above 0, to 1. */
  readonly minRatio: number;
  /** The share is (time / window) ^ (1 / aggression). */
  readonly aggression: number;
}

export interface ZonesConfig {
  /** 0 to 100: of the local weight of a tier, what has to be available for it to take all requests; 0 = anything. */
  readonly spillThresholdPercent: number;
}

export interface InFlightConfig {
  /** Of the pool, on the node; null = any number. */
  readonly max: number | null;
  /** Requests that may wait for their turn, on the node; 0 = none. */
  readonly queueSize: number;
  /** How long one may wait; above 0 where there is a queue. */
  readonly queueTimeoutMs: number;
}

export const defaultBalancing: BalancingConfig = {
  hash: null,
  sticky: null,
  failover: { overflowThresholdPercent: 0, failBackDelayMs: 0 },
  slowStart: null,
  zones: null,
  inFlight: null,
};
