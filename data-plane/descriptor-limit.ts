import { readFileSync } from "node:fs";
import { defaultClientLimits } from "./proxy/client-limits.ts";

/** Files, sockets of the other servers, and what the process opens by the way. */
const mainThreadCount = 64;
/** The event loop, its wake-ups, the listeners. */
const perWorkerCount = 24;

/** How many files this process may have open; null where the system does not tell. */
export function descriptorLimit(limitsFile = "/proc/self/limits"): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(limitsFile, "utf8"))?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}

/**
 * Connections of clients that the descriptors are enough for, each with one to a target. Above this a connection is
 * closed as soon as it is accepted: were descriptors to run out, no request of those that were let in could be served.
 */
export function connectionsFor(descriptors: number | null, workerCount: number): number {
  if (descriptors === null) return defaultClientLimits.connectionMaxCount;
  const free = descriptors - mainThreadCount - workerCount * perWorkerCount;
  return Math.min(defaultClientLimits.connectionMaxCount, Math.max(1, Math.floor(free / 2)));
}
