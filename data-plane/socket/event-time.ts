import { performance } from "node:perf_hooks";

let isInEvent = false;
let eventMs = -1;

/**
 * `performance.now()`, read once for all that happens while bytes that arrived are dealt with: a small request or
 * answer is done within some microseconds, and asks five times (bench W1: 0.4 us a request). Outside of that it is the
 * time itself, so that it cannot be stale.
 */
export function eventTimeMs(): number {
  if (!isInEvent) return performance.now();
  if (eventMs < 0) eventMs = performance.now();
  return eventMs;
}

/** Bytes that arrived are dealt with from here to `endEvent`. @returns whether they already were: then the end is not ours */
export function beginEvent(): boolean {
  const wasInEvent = isInEvent;
  isInEvent = true;
  if (!wasInEvent) eventMs = -1;
  return wasInEvent;
}

export function endEvent(wasInEvent: boolean): void {
  isInEvent = wasInEvent;
}
