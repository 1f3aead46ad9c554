import { defaultRequestLimits, type HeadLimits } from "../http1/field-lines.ts";

/** Limits on what clients may do. Each is an option of the node (limit-options.ts) and counted where it is met. */
export interface ClientLimits extends HeadLimits {
  /** Request body, without its framing, where the route says nothing. Infinity = none. */
  readonly bodyMaxBytes: number;
  /** From a request's head to the end of its answer, where the route says nothing. null = none. */
  readonly totalTimeoutMs: number | null;
  /** From a connection's first byte, or its opening, to a complete head. */
  readonly headTimeoutMs: number;
  /** Between two requests. */
  readonly keepAliveTimeoutMs: number;
  /** Least rate at which a client has to send a body. Waiting for a target is not counted. */
  readonly bodyMinBytesPerSecond: number;
  /** Least rate at which a client has to take an answer that waits for it. */
  readonly readMinBytesPerSecond: number;
  /** How long a client may fall short of either rate. */
  readonly rateGraceMs: number;
  /** For a server to ask for a body that its client holds back (Expect: 100-continue); then we ask. */
  readonly continueTimeoutMs: number;
  /** For either side of a tunnel (websocket) to send something, or to take what was sent. */
  readonly tunnelIdleTimeoutMs: number;
  /** What a client may send ahead while a request of its is answered; with more it is not read any further. */
  readonly pipelinedMaxBytes: number;
  /** Requests of one client that are taken one after the other before others have their turn. */
  readonly pipelinedMaxCount: number;
  /** How long a connection that we ended is still listened to, so that the last answer arrives. */
  readonly lingerTimeoutMs: number;
  /** How much of a rejected request is read and thrown away meanwhile. */
  readonly lingerMaxBytes: number;
  /** Unread rest of a request body up to which a connection is kept after an answer of our own. */
  readonly discardMaxBytes: number;
  /** Connections of clients at once, on the whole node. */
  readonly connectionMaxCount: number;
  /** Connections of one client address at once, on the whole node. */
  readonly addressConnectionMaxCount: number;
  /** Lag of the event loop from which on requests are shed. */
  readonly shedLagMs: number;
  /** How long a client whose request was shed is not read, unless there is room before: as Retry-After says. */
  readonly shedHoldMs: number;
}

export const defaultClientLimits: ClientLimits = {
  ...defaultRequestLimits,
  bodyMaxBytes: Number.POSITIVE_INFINITY,
  totalTimeoutMs: null,
  headTimeoutMs: 10_000,
  keepAliveTimeoutMs: 60_000,
  bodyMinBytesPerSecond: 240,
  readMinBytesPerSecond: 240,
  rateGraceMs: 10_000,
  continueTimeoutMs: 1_000,
  tunnelIdleTimeoutMs: 300_000,
  pipelinedMaxBytes: 65_536,
  pipelinedMaxCount: 100,
  lingerTimeoutMs: 2_000,
  lingerMaxBytes: 1_048_576,
  discardMaxBytes: 65_536,
  connectionMaxCount: 32_768,
  addressConnectionMaxCount: 8_192,
  shedLagMs: 250,
  shedHoldMs: 1_000,
};
