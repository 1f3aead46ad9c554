import type { ResourceLimits } from "node:worker_threads";
import type { EndpointFinding } from "./health/endpoint-finding.ts";
import type { Timers } from "./upstream/timers.ts";
import type { WorkerSettings } from "./worker-message.ts";

/** What a worker group needs to know, and whom it tells. */
export interface WorkerGroupOptions {
  readonly entry: URL;
  /** Workers that serve at once. */
  readonly count: number;
  /** One more waits, to take the place of one that is lost without a start. */
  readonly keepsSpare: boolean;
  /** Nothing listens before every worker has applied a config: who shares the port serves well meanwhile. */
  readonly waitsForConfig: boolean;
  /** The thread that accepts connections. */
  readonly acceptIn: "worker" | "main";
  readonly proxyHosts: readonly string[];
  /** 0: a free one. */
  readonly proxyPort: number;
  /** Where TLS is spoken; null for nowhere. */
  readonly tlsPlace: { readonly hosts: readonly string[]; readonly port: number } | null;
  /** Whether listeners let others listen on the same port; workers that accept need it. */
  readonly reusePort: boolean;
  /** With `workerNumbers(count)` columns. */
  readonly endpointTable: SharedArrayBuffer;
  readonly version: string;
  readonly settings: WorkerSettings;
  readonly resourceLimits: ResourceLimits;
  readonly timers: Timers;
  /** A worker that owes an answer for so long is replaced. */
  readonly answerTimeoutMs: number;
  /** How long a worker that is replaced may take to finish what it has. */
  readonly retireTimeoutMs: number;
  /** What a worker found out of an endpoint. */
  readonly onEndpoint: (found: EndpointFinding) => void;
  /** Lines of the access log; `taken` must be called when they are written, or given up. */
  readonly onAccessLog: (lines: Uint8Array, lineCount: number, taken: () => void) => void;
  /** A worker was lost; where no spare takes its place, its successor starts after `delayMs`. */
  readonly onLost: (workerNumber: number, cause: string, delayMs: number) => void;
  /** A worker hands its place over: a successor takes connections from now on. */
  readonly onReplaced: (workerNumber: number, reason: string) => void;
  /** A worker counts of endpoints in this memory from now on (telemetry/endpoint-totals.ts). */
  readonly onEndpointBlock: (workerNumber: number, index: number, buffer: SharedArrayBuffer) => void;
  /** Nothing of the worker runs any more. */
  readonly onExited: (workerNumber: number) => void;
  /** Worker after worker was lost while this config was served. */
  readonly onUnfit: (publication: number, lastCause: string) => void;
  /** The main thread could not accept a connection, or not pass it on. */
  readonly onAcceptError: (error: Error) => void;
}
