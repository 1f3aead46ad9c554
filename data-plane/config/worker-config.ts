import type { BalancingConfig } from "./balancing-config.ts";
import type { PassiveCheckConfig } from "./health-check-config.ts";
import type { ResilienceConfig, RetryConfig } from "./resilience-config.ts";
import type { TlsConfig, UpstreamTlsConfig } from "./tls-config.ts";

/**
 * A snapshot as the workers get it: plain, structured-clonable data without protobuf, so that a worker
 * loads no protobuf runtime. Everything here was validated by compile-snapshot before a worker sees it.
 */
export interface WorkerConfig {
  readonly publication: number;
  readonly revision: number;
  readonly routes: readonly RouteConfig[];
  readonly services: readonly ServiceConfig[];
  readonly pools: readonly PoolConfig[];
  readonly tls: TlsConfig;
}

export type ProtocolName = "http" | "https" | "grpc" | "grpcs" | "tcp" | "tls" | "udp" | "tls_passthrough";

export interface RouteConfig {
  readonly id: string;
  readonly name: string | null;
  readonly createdAtMs: number;
  readonly protocols: readonly ProtocolName[];
  /** null = any. */
  readonly methods: readonly string[] | null;
  readonly hosts: readonly string[] | null;
  /** "/x" prefixes and "~/x" regular expressions. */
  readonly paths: readonly string[] | null;
  readonly headers: readonly { readonly name: string; readonly values: readonly string[] }[] | null;
  /** Server names of TLS connections, lower case, without trailing dot; each may begin with "*." or end with ".*". */
  readonly snis: readonly string[] | null;
  readonly regexPriority: number;
  readonly stripPath: boolean;
  readonly preserveHost: boolean;
  readonly httpsRedirectStatus: number;
  /** null = the node's own limit. */
  readonly bodyMaxBytes: number | null;
  /** From a request's head to the end of its answer, over all attempts. null = the node's own limit. */
  readonly totalTimeoutMs: number | null;
  /** Whether %2F may stand in the path. */
  readonly allowsEncodedSlashes: boolean;
  /** What this route says of retries instead of its upstream. null = nothing. */
  readonly retry: Partial<RetryConfig> | null;
  /** Index into services; -1 = a route without service. Routes of disabled services are left out of the config. */
  readonly serviceIndex: number;
}

export interface ServiceConfig {
  readonly id: string;
  readonly name: string | null;
  readonly protocol: ProtocolName;
  /** false: answered with 503 "protocol not supported yet", no connection opened. */
  readonly isProtocolSupported: boolean;
  readonly path: string | null;
  /** Further attempts after a failed one. */
  readonly retries: number;
  readonly connectTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** How its targets are spoken to over TLS; null = without. */
  readonly tls: UpstreamTlsConfig | null;
  /** Index into pools. */
  readonly poolIndex: number;
}

/** The endpoints that a service's requests are balanced over: an upstream, or the service's own host. */
export interface PoolConfig {
  /** "upstream:ID" or "host:HOST:PORT": what endpoint sets are addressed by, stable across snapshots. */
  readonly key: string;
  /** Upstream name or host, for messages. */
  readonly name: string;
  /** Row of the cursor and the availability generation in the shared endpoint table. */
  readonly poolRow: number;
  /** Host sent to every endpoint (the upstream's host_header), or null. */
  readonly hostHeader: string | null;
  readonly isUpstream: boolean;
  readonly algorithm: "round-robin" | "least-connections" | "consistent-hashing" | "latency" | "sticky-sessions";
  readonly balancing: BalancingConfig;
  readonly resilience: ResilienceConfig;
  /** null = traffic counts for no health check. */
  readonly passive: PassiveCheckConfig | null;
}

/** The resolved endpoints of a pool. Sent whole with a config and again whenever names resolve differently. */
export interface EndpointSet {
  readonly poolKey: string;
  readonly endpoints: readonly EndpointConfig[];
  /** Why there are none, when there are none: no target (or all weight 0), or names that do not resolve. */
  readonly emptyBecause: "no_targets" | "unresolved" | null;
  /** For consistent hashing, where each hash leads; null for every other algorithm. Made once, read by all threads. */
  readonly rings: readonly HashRing[] | null;
}

/** Where hashes lead among the endpoints of one tier and locality: the same on every node that has the same endpoints. */
export interface HashRing {
  readonly priority: number;
  readonly isLocal: boolean;
  /** Uint16 indices into the set's endpoints, one for each slot. */
  readonly slots: SharedArrayBuffer;
}

export interface EndpointConfig {
  /** Row in the shared endpoint table; one per (pool, address, port), stable across snapshots. */
  readonly row: number;
  /** IPv4 or IPv6 literal, without brackets. */
  readonly address: string;
  readonly port: number;
  /** 1..65535. 0 only with sticky sessions: it keeps its sessions and gets no new ones. Other endpoints of weight 0 are left out. */
  readonly weight: number;
  /** Its tier, 0 to 15; the smallest number goes first. */
  readonly priority: number;
  /** Whether it is in the node's zone; true where zones make no difference. */
  readonly isLocal: boolean;
  /** Requests of the node that may be under way there at once; 0 = any number. */
  readonly maxInFlight: number;
  /** What names it in the cookie of sticky sessions: the same on every node and for ever; "" for every other algorithm. */
  readonly stickyKey: string;
  /** Host header for this endpoint when neither preserve_host nor the pool's host_header rules: hostname, ":port" unless 80. */
  readonly hostHeader: string;
}
