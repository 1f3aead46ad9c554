import type { LoadShape } from "./workload.ts";

/** What the load process is asked to do. */
export interface LoadOrder {
  readonly port: number;
  /** Sent in turn, again and again. */
  readonly requests: readonly string[];
  readonly answerBytes: number;
  readonly connectionCount: number;
  readonly requestCount: number;
  /** Where the load waits for answers to send more: begins no request later than this; null = however long it takes. */
  readonly maxMs: number | null;
  readonly shape: LoadShape;
  /** null = plain. */
  readonly tls: { readonly serverName: string; readonly caPem: string; readonly group: string } | null;
}

export interface LoadResult {
  readonly completed: number;
  readonly failed: number;
  /** Connections that resumed a TLS session. */
  readonly resumed: number;
  readonly elapsedMs: number;
  /** From when a request was due to its answer's last byte; null where the load waits for answers to send more. */
  readonly latencyMs: { readonly p50: number; readonly p99: number } | null;
}

/** A proxy that no longer answers must end the run, not hang it. */
export const silenceTimeoutMs = 10_000;
