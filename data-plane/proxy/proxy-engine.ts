import type { TrialOutcome } from "../health/trial-outcome.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { SnapshotHolder } from "../snapshot/snapshot-holder.ts";
import type { ReadBuffers } from "../socket/read-buffer.ts";
import type { DeadlineWheel } from "../upstream/deadline-wheel.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { UpstreamPool } from "../upstream/upstream-pool.ts";
import type { AccessLog } from "./access-log.ts";
import type { ClientLimits } from "./client-limits.ts";
import type { HeldClients } from "./held-clients.ts";
import type { HttpDate } from "./http-date.ts";
import type { LoadShedder } from "./load-shedder.ts";
import type { OverloadAnswers } from "./overload-answers.ts";
import type { PassiveChecks } from "./passive-checks.ts";
import type { ProxyCounters } from "./proxy-counters.ts";
import type { RequestIds } from "./request-id.ts";
import type { StallWatch } from "./stall-watch.ts";
import type { TrafficMetrics } from "./traffic-metrics.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";
import type { TurnQueue } from "./turn-queue.ts";

/** What all connections of one worker share. */
export interface ProxyEngine {
  readonly snapshots: SnapshotHolder;
  readonly endpoints: EndpointTable;
  /** Notices the endpoints that do not answer. */
  readonly stalls: StallWatch;
  /** Who waits where only so many requests may be under way. */
  readonly turns: TurnQueue;
  readonly passiveChecks: PassiveChecks;
  readonly upstreams: UpstreamPool;
  readonly buffers: ReadBuffers;
  readonly wheel: DeadlineWheel;
  readonly requestIds: RequestIds;
  /** Of the answers of our own. */
  readonly date: HttpDate;
  readonly counters: ProxyCounters;
  readonly limits: ClientLimits;
  readonly shedder: LoadShedder;
  /** Clients whose last request was refused by it. */
  readonly held: HeldClients;
  readonly overloadAnswers: OverloadAnswers;
  readonly version: string;
  /** null: nobody is trusted, and X-Forwarded-* of clients say nothing. */
  readonly trustedProxies: TrustedProxies | null;
  /** Whose requests are answered with their attempts, if they ask for them; null: nobody's. */
  readonly debugFrom: TrustedProxies | null;
  readonly traffic: TrafficMetrics;
  /** Whether a request's host has to be one that its connection's certificate is served for. */
  readonly checksServerNames: boolean;
  /** null: no request is logged. */
  readonly accessLog: AccessLog | null;
  /** Tick of the wheel at which a client was cut last because it took its answer too slowly. */
  slowTakerCutAt: number;
  /** Answers say `Connection: close` while this is true. */
  isDraining: boolean;
  /** The one head that is being read: a head is parsed and acted on within one call. */
  readonly head: RequestHead;
  /** An endpoint was taken out; the main thread decides when it comes back. */
  readonly onEjected: (poolKey: string, endpointRow: number, cause: string, retryAfterMs: number) => void;
  /** An endpoint that was out was tried. */
  readonly onTrial: (endpointRow: number, outcome: TrialOutcome, cause: string) => void;
  /** A call that must not throw did; the connection is closed already. */
  readonly onDefect: (error: unknown) => void;
}
