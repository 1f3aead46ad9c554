import { HARD_LIMITS } from "../../proto/hard-limits.ts";
import type { ApplySnapshot, ReceivedSnapshot } from "../snapshot/apply-snapshot.ts";
import type { Log } from "../telemetry/log.ts";
import type { Clock } from "./clock.ts";
import { SEARCH_DEFAULTS, type SearchSettings } from "./control-plane-search.ts";
import type { HeldSnapshot } from "./held-snapshots.ts";
import type { Holding } from "./judge-offer.ts";
import type { ObservationSource } from "./observation-reports.ts";
import type { AnswerQuery } from "./query-answers.ts";
import type { Reach } from "./reach-address.ts";
import type { StatsSource } from "./stats-reports.ts";
import type { SyncAccess } from "./sync-access.ts";
import type { SyncState } from "./sync-client.ts";
import type { NodeStream, SyncStreamOptions } from "./sync-stream.ts";
import type { TrafficSource } from "./traffic-reports.ts";

export interface SyncClientOptions extends Partial<SyncClientSettings> {
  /** host:port of each control plane; one is used at a time. */
  readonly controlPlanes: readonly string[];
  /** What is shown to control planes. Default: nothing, over plain connections. */
  readonly access?: SyncAccess;
  readonly hello: HelloFacts;
  /** What is served, null for nothing; must name a snapshot from the moment on that its `apply` resolves ok. */
  readonly holding: () => Holding | null;
  /** What is served from the start on, with its content, so that the first message may be a delta. Default: nothing. */
  readonly restored?: HeldSnapshot | null;
  /** Called for one snapshot at a time. */
  readonly apply: ApplySnapshot;
  readonly log: Log;
  /** What the control plane is told of endpoints. Default: nothing. */
  readonly observations?: ObservationSource;
  /** What it is told of what requests meet there. Default: nothing. */
  readonly traffic?: TrafficSource;
  /** What it is told of how the node does. Default: nothing. */
  readonly stats?: StatsSource;
  /** The answer to a question about the live node; null for a kind of question that it does not know. */
  readonly answerQuery?: AnswerQuery;
  /** May close the client. */
  readonly onState?: (state: SyncState) => void;
  /** A snapshot was applied and acked: the moment to keep it on disk. */
  readonly onApplied?: (snapshot: ReceivedSnapshot) => void;
  /** Opens a stream to a control plane. Default: a gRPC stream. Errors: throws when the address is not one. */
  readonly openStream?: (options: SyncStreamOptions) => NodeStream;
  /** Looks whether a control plane is there, before a stream is opened. Default: by TCP. */
  readonly reach?: Reach;
  readonly clock?: Clock;
  /** 0 <= random() < 1; for jitter. */
  readonly random?: () => number;
}

/** What a node says of itself. */
export interface HelloFacts {
  readonly nodeId: string;
  readonly hostname: string;
  readonly build: string;
  readonly capabilities: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly workerCount: number;
  /** Of this process. Default: it is not told. */
  readonly instance?: string;
}

/** Every limit and time of the client, each with its default below. */
export interface SyncClientSettings extends SearchSettings {
  readonly connectTimeoutMs: number;
  readonly silenceMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Jittered by a fifth both ways. */
  readonly heartbeatMs: number;
  /** From one message of how the node does to the next. */
  readonly statsMs: number;
  readonly entityMaxCount: number;
  /** Of all bodies of a snapshot together. */
  readonly bodyBytesMax: number;
}

export const SYNC_CLIENT_DEFAULTS: SyncClientSettings = {
  ...SEARCH_DEFAULTS,
  connectTimeoutMs: 5_000,
  silenceMs: 15_000,
  // As the control plane's, and for the same reason.
  keepaliveMs: 4_000,
  keepaliveTimeoutMs: 10_000,
  heartbeatMs: 10_000,
  statsMs: 5_000,
  entityMaxCount: 1_000_000,
  bodyBytesMax: HARD_LIMITS.bodyBytesMax,
};
