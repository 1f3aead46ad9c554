import type { Socket } from "node:net";
import type { EncodedConfig } from "./config/encoded-config.ts";
import type { TlsSettings } from "./config/tls-settings.ts";
import type { EndpointSet } from "./config/worker-config.ts";
import type { EndpointFinding } from "./health/endpoint-finding.ts";
import type { ListeningServers, ListenPlace } from "./listener/proxy-server.ts";
import type { ClientLimits } from "./proxy/client-limits.ts";
import type { ExplainQuestion, Explanation } from "./proxy/explanation.ts";
import type { TrafficCounts } from "./proxy/traffic-metrics.ts";
import type { SeriesCounts } from "./telemetry/series-table.ts";

/** `workerData` of a traffic worker. */
export interface WorkerStart {
  /** Tells it apart from the workers that live at the same time: its column in the endpoint table. */
  readonly number: number;
  /** The shared endpoint table (upstream/endpoint-table.ts). */
  readonly endpointTable: SharedArrayBuffer;
  readonly version: string;
  readonly settings: WorkerSettings;
}

/** Options of the node that its workers act on. */
export interface WorkerSettings {
  /** Workers that carry traffic. */
  readonly workerCount: number;
  /** Address ranges, as `parseRange` takes them. */
  readonly trustedProxies: readonly string[];
  /** The same, of clients that may ask for the attempts. */
  readonly debugFrom: readonly string[];
  /** Share of the requests that are logged; null for no access log. */
  readonly accessLogSample: number | null;
  /** Routes, and targets, with metrics of their own. */
  readonly metricsSeriesMax: number;
  /** How long a connection to a target is kept without a request. */
  readonly upstreamIdleTimeoutMs: number;
  /** PEM of the authorities trusted for targets whose service names none; null = those that come with Node. */
  readonly upstreamCaPems: readonly string[] | null;
  readonly limits: ClientLimits;
  /** null: no listener for TLS. */
  readonly tls: TlsSettings | null;
  /** The shared table of connections and of memory (listener/node-load.ts). */
  readonly nodeLoad: SharedArrayBuffer;
}

/** Main thread to worker. */
export type ToWorker =
  /** Answered by "applied" or "apply-failed", one for each, in order. */
  | { readonly type: "config"; readonly config: EncodedConfig }
  | { readonly type: "endpoints"; readonly endpointSets: readonly EndpointSet[] }
  /** @param afterConfigs answered only when all configs and endpoints that came before are applied */
  | { readonly type: "counters"; readonly id: number; readonly afterConfigs: boolean }
  | { readonly type: "explain"; readonly id: number; readonly question: ExplainQuestion }
  /** So many bytes of access log that the worker sent are written, or given up. */
  | { readonly type: "access-log-taken"; readonly byteCount: number }
  /** Open listening servers of your own; answered by "listening" or "listen-failed". */
  | { readonly type: "listen"; readonly place: ListenPlace; readonly tlsPlace: ListenPlace | null }
  /** Go on with the listening servers of another worker, which come with this message; answered by "listening". */
  | { readonly type: "adopt"; readonly servers: ListeningServers }
  /** Connections come from the main thread, which listens on these ports; answered by "listening". */
  | { readonly type: "take-connections"; readonly port: number; readonly tlsPort: number | null }
  | { readonly type: "connection"; readonly socket: Socket; readonly localPort: number; readonly isTls: boolean }
  /** Send your listening servers ("handed-over"), finish what is under way within `timeoutMs`; then "drained". */
  | { readonly type: "hand-over"; readonly timeoutMs: number }
  /** To a worker that has failed: no connection comes any more. */
  | { readonly type: "no-more" }
  /** Answers say from now on that their connection ends. */
  | { readonly type: "wind-down" }
  /** Stop keeping connections; close the listener when no connection came for 1 s, or half of `timeoutMs` is over; then "drained". */
  | { readonly type: "drain"; readonly timeoutMs: number };

/** What applying a config took. */
export interface ApplyTimes {
  /** From the message to the first request that could have it. */
  readonly durationMs: number;
  /** The longest that it kept the worker's event loop from everything else. */
  readonly sliceMaxMs: number;
}

/** Worker to main thread. */
export type FromWorker =
  /** New connections are served; the ports as bound. */
  | { readonly type: "listening"; readonly port: number; readonly tlsPort: number | null }
  | { readonly type: "listen-failed"; readonly message: string; readonly code: string }
  /** The config is served by every request that starts from now on. */
  | { readonly type: "applied"; readonly publication: number; readonly times: ApplyTimes }
  /** The worker could not build the config's tables and keeps the one it had. */
  | { readonly type: "apply-failed"; readonly publication: number; readonly message: string }
  | EndpointFinding
  | {
      readonly type: "counters";
      readonly id: number;
      readonly counters: Readonly<Record<string, number>>;
      /** Of applying configs, since the worker's start: tells that one is being applied and not stuck. */
      readonly sliceCount: number;
      readonly heapBytes: number;
      readonly traffic: TrafficCounts;
      /** Connections to targets, open and idle, by address. */
      readonly upstreamConnections: SeriesCounts;
    }
  /** A string says why there is no explanation. */
  | { readonly type: "explained"; readonly id: number; readonly explanation: Explanation | string }
  /** What this worker counts of the endpoints with these rows is read here (telemetry/endpoint-totals.ts). */
  | { readonly type: "endpoint-block"; readonly index: number; readonly buffer: SharedArrayBuffer }
  /** Whole lines in memory that is the worker's again after "access-log-taken", which is sent in order. */
  | { readonly type: "access-log"; readonly lines: Uint8Array; readonly lineCount: number }
  /** The listening servers come with this message; with none when the main thread listens. */
  | { readonly type: "handed-over"; readonly servers: ListeningServers }
  /** A connection of which nothing was read, from a worker that ends; also after "failed". */
  | { readonly type: "left"; readonly socket: Socket; readonly localPort: number; readonly isTls: boolean }
  /** A bug outside of any connection ends the worker; the listening servers come with this, for whoever takes its place. */
  | { readonly type: "failed"; readonly cause: string; readonly servers: ListeningServers }
  | { readonly type: "drained" };
