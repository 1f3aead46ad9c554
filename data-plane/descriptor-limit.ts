import { openSync, readSync } from "node:fs";

/** Files, sockets of the other servers, and what the process opens by the way. */
const mainThreadCount = 64;
/** The event loop, its wake-ups, the listeners. */
const perWorkerCount = 24;

/**
 * What says how many files this process may have open, whenever it is asked: also when there is none left to ask with,
 * since the system's word on it is kept open. It says null where the system does not tell.
 */
export function openDescriptorLimit(limitsFile = "/proc/self/limits"): () => number | null {
  const memory = Buffer.alloc(4_096);
  try {
    const fd = openSync(limitsFile, "r");
    return () => parseLimit(memory.toString("latin1", 0, readSync(fd, memory, 0, memory.length, 0)));
  } catch {
    return () => null;
  }
}

function parseLimit(text: string): number | null {
  const soft = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  return soft === undefined ? null : Number(soft);
}

/**
 * Connections of clients that the descriptors are enough for, each with one to a target; no limit without a figure.
 * Above this a connection is closed as soon as it is accepted: were descriptors to run out, no request of those that
 * were let in could be served.
 */
export function connectionRoom(descriptors: number | null, workerCount: number): number {
  if (descriptors === null) return Number.POSITIVE_INFINITY;
  const free = descriptors - mainThreadCount - workerCount * perWorkerCount;
  return Math.max(1, Math.floor(free / 2));
}
