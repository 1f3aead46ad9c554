import type { KeyPairConfig } from "./tls-config.ts";

/** How many reports of a kind, in a row, change an endpoint's health; 0 = reports of that kind are ignored. 0 to 255. */
export interface CheckThresholds {
  readonly successes: number;
  readonly httpFailures: number;
  readonly tcpFailures: number;
  readonly timeouts: number;
}

/** What a status says of an endpoint. */
export const StatusKind = { Silent: 0, Good: 1, Bad: 2 } as const;

/** StatusKind by status, 0 to 999. Pools with equal lists share one. */
export type StatusKinds = Uint8Array;

export const statusesMax = 1_000;

/** What proxied traffic teaches. */
export interface PassiveCheckConfig {
  /** false: every answer is a success, since there was a connection. */
  readonly readsStatuses: boolean;
  readonly statusKinds: StatusKinds;
  readonly thresholds: CheckThresholds;
}

export type ProbeType = "http" | "https" | "tcp" | "grpc" | "grpcs";

/** What is sent to an endpoint, and what of its answer is looked at. */
export interface ProbeConfig {
  /** Equal where all the rest is equal: such probes of one address are sent once. */
  readonly key: string;
  readonly type: ProbeType;
  /** From the connection's beginning to the end of what is looked at. */
  readonly timeoutMs: number;
  /** null = the endpoint's own. */
  readonly port: number | null;
  readonly method: string;
  readonly path: string;
  /** Without what would break a header line. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** null = the target's hostname or address. */
  readonly hostHeader: string | null;
  /** For TLS; null = the host that is sent. */
  readonly serverName: string | null;
  readonly isVerified: boolean;
  readonly clientPairs: readonly KeyPairConfig[];
  /** null = the body is not read. */
  readonly bodyContains: string | null;
  /** "" = the server as a whole. */
  readonly grpcService: string;
}

/** When a pool's endpoints are probed, and what follows from it. */
export interface ActiveCheckConfig {
  readonly probe: ProbeConfig;
  readonly statusKinds: StatusKinds;
  readonly thresholds: CheckThresholds;
  /** Of endpoints that are in; 0 = they are not probed. */
  readonly healthyIntervalMs: number;
  /** Of endpoints that are out; 0 = they are not probed. */
  readonly unhealthyIntervalMs: number;
  /** Probes of the pool under way at once. */
  readonly concurrency: number;
  /** Share of the interval by which a probe may be late, at random. */
  readonly jitterRatio: number;
  /** Whether an endpoint that is new gets no requests before a probe has succeeded. */
  readonly startsOut: boolean;
}

/** Whether probes can bring an endpoint back that is out. */
export function bringsBack(check: ActiveCheckConfig | null): boolean {
  return check !== null && check.unhealthyIntervalMs > 0 && check.thresholds.successes > 0;
}
