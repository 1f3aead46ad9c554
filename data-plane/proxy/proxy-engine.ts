import type { EndpointState } from "../balance/endpoint-state.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import type { DeadlineWheel } from "../upstream/deadline-wheel.ts";
import type { UpstreamPool } from "../upstream/upstream-pool.ts";
import type { ProxyCounters } from "./proxy-counters.ts";
import type { RequestIds } from "./request-id.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** Limits on what clients may do; all have a default in defaultClientLimits. */
export interface ClientLimits {
  /** From a connection's first byte, or its opening, to a complete head. */
  readonly headTimeoutMs: number;
  /** Between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** Between two pieces of a request body. */
  readonly bodyIdleTimeoutMs: number;
  /** For a server to ask for a body that its client holds back (Expect: 100-continue); then we ask. */
  readonly continueTimeoutMs: number;
  /** For a client to take what was sent to it. */
  readonly writeIdleTimeoutMs: number;
  /** How long a connection that we ended is still listened to, so that the last answer arrives. */
  readonly lingerTimeoutMs: number;
  /** How much of a rejected request is read and thrown away meanwhile. */
  readonly lingerMaxBytes: number;
  /** Unread rest of a request body up to which a connection is kept after an answer of our own. */
  readonly discardMaxBytes: number;
  /** Connections of clients at once, per worker. */
  readonly connectionMaxCount: number;
}

export const defaultClientLimits: ClientLimits = {
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 60_000,
  bodyIdleTimeoutMs: 60_000,
  continueTimeoutMs: 1_000,
  writeIdleTimeoutMs: 60_000,
  lingerTimeoutMs: 2_000,
  lingerMaxBytes: 1_048_576,
  discardMaxBytes: 65_536,
  connectionMaxCount: 16_384,
};

/** What all connections of one worker share. */
export interface ProxyEngine {
  readonly snapshots: SnapshotHolder;
  readonly endpoints: EndpointState;
  readonly upstreams: UpstreamPool;
  readonly buffers: ReadBuffers;
  readonly wheel: DeadlineWheel;
  readonly requestIds: RequestIds;
  readonly counters: ProxyCounters;
  readonly limits: ClientLimits;
  readonly version: string;
  /** null: nobody is trusted, and X-Forwarded-* of clients say nothing. */
  readonly trustedProxies: TrustedProxies | null;
  /** Answers say `Connection: close` while this is true. */
  isDraining: boolean;
  /** The one head that is being read: a head is parsed and acted on within one call. */
  readonly head: RequestHead;
  /** An endpoint was taken out; the main thread decides when it comes back. */
  readonly onEjected: (poolKey: string, endpointRow: number, cause: string) => void;
  /** A call that must not throw did; the connection is closed already. */
  readonly onDefect: (error: unknown) => void;
}
