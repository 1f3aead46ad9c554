import { eventTimeMs } from "../socket/event-time.ts";
import type { Exchange } from "./exchange.ts";

/** A client that left before its answer was whole; RFC 9209 has no word for it, since nobody is left to read one. */
export const clientLeft = "client_disconnected";

/** Counts and logs an exchange at its end, whatever the end: once for each request. */
export function recordExchange(exchange: Exchange): void {
  const { engine, logged, failure } = exchange;
  const nowMs = eventTimeMs();
  const durationMs = nowMs - exchange.startedAtMs;
  const snapshot = engine.snapshots.current;
  engine.traffic.countRequest(exchange, durationMs, snapshot);
  if (logged === null) return;
  logged.durationMs = durationMs;
  const turn = exchange.admission?.turn ?? null;
  if (turn !== null) logged.queuedMs += nowMs - turn.sinceMs;
  logged.attemptEnded(failure === "" ? "ok" : failure, nowMs);
  const log = engine.accessLog;
  if (log?.wants(failure)) log.add(exchange, snapshot, nowMs);
}
