import type { NodeStats } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { toldCount, toldDurationMs, toldText } from "../observation/told-values.ts";

/** How a node does, by its own word. */
export interface NodeFigures {
  readonly atUnixMs: number;
  readonly requestsPerSecond: number;
  /** Of these, answered with 5xx or cut, 0 to 1. */
  readonly errorRatio: number;
  readonly requestCount: number;
  readonly failureCount: number;
  readonly connectionCount: number;
  readonly endpointCount: number;
  readonly healthyEndpointCount: number;
  readonly workers: readonly NodeWorker[];
  /** Workers that were lost since the node started. */
  readonly lostWorkerCount: number;
}

export interface NodeWorker {
  readonly number: number;
  readonly role: string;
  /** 0: none. */
  readonly publication: number;
  readonly requestCount: number;
  readonly connectionCount: number;
  readonly heapBytes: number;
}

/** A node may be anyone: no more is kept of what it says. */
const WORKER_MAX_COUNT = 1_024;
const ROLE_MAX_LENGTH = 32;

/** What a node says, with the rates since what it said before; null before there is anything to measure from. */
export function readNodeStats(stats: NodeStats, before: NodeFigures | null, nowUnixMs: number): NodeFigures {
  const requestCount = toldCount(stats.requestCount);
  const failureCount = toldCount(stats.failureCount);
  const intervalMs = toldDurationMs(stats.interval);
  const isMeasured = before !== null && intervalMs > 0;
  const requests = isMeasured ? Math.max(0, requestCount - before.requestCount) : 0;
  const failures = isMeasured ? Math.max(0, failureCount - before.failureCount) : 0;
  return {
    atUnixMs: nowUnixMs,
    requestsPerSecond: isMeasured ? (requests * 1_000) / intervalMs : 0,
    // More where requests failed that came in the interval before.
    errorRatio: failures === 0 ? 0 : Math.min(1, failures / Math.max(1, requests)),
    requestCount,
    failureCount,
    connectionCount: toldCount(stats.connectionCount),
    endpointCount: Math.max(0, stats.endpointCount),
    healthyEndpointCount: Math.max(0, stats.healthyEndpointCount),
    workers: stats.workers.slice(0, WORKER_MAX_COUNT).map((worker) => ({
      number: Math.max(0, worker.number),
      role: toldText(worker.role, ROLE_MAX_LENGTH),
      publication: toldCount(worker.publication),
      requestCount: toldCount(worker.requestCount),
      connectionCount: toldCount(worker.connectionCount),
      heapBytes: toldCount(worker.heapBytes),
    })),
    lostWorkerCount: toldCount(stats.lostWorkerCount),
  };
}
