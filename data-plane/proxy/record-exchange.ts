import type { AccessLog } from "./access-log.ts";
import type { Exchange } from "./exchange.ts";

/** A client that left before its answer was whole; RFC 9209 has no word for it, since nobody is left to read one. */
export const clientLeft = "client_disconnected";

/** Counts and logs an exchange at its end, whatever the end: once for each request. */
export function recordExchange(exchange: Exchange): void {
  const { engine } = exchange;
  const durationMs = performance.now() - exchange.startedAtMs;
  engine.traffic.countRequest(exchange, durationMs, engine.snapshots.current);
  if (engine.accessLog !== null) logExchange(engine.accessLog, exchange, durationMs);
}

function logExchange(log: AccessLog, exchange: Exchange, durationMs: number): void {
  const { route, service, logged, failure } = exchange;
  logged!.attemptEnded(failure === "" ? "ok" : failure);
  if (!log.wants(failure)) return;
  log.add({
    requestId: exchange.requestId,
    client: exchange.clientAddress,
    method: exchange.method.name,
    target: exchange.sentTarget,
    host: exchange.host,
    status: exchange.status,
    bytesIn: exchange.bytesIn,
    bytesOut: exchange.bytesOut,
    durationMs,
    route: route === null ? "" : (route.name ?? route.id),
    service: service === null ? "" : (service.name ?? service.id),
    upstream: exchange.pool?.config.name ?? "",
    attempts: logged!.attempts,
    failure,
    userAgent: logged!.userAgent,
    traceId: logged!.traceId,
  });
}
