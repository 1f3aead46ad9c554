import type { CheckThresholds } from "../config/health-check-config.ts";
import { type CheckReport, countReport, type HealthFlip } from "../health/check-counts.ts";
import type { EndpointTable } from "./endpoint-table.ts";

/** The rows' part that health checks change. */
export type CheckedEndpoints = Pick<EndpointTable, "has" | "setFlag" | "checkCounts" | "replaceCheckCounts">;

/**
 * Counts a report on an endpoint, whichever thread it comes from: probes and traffic have one state machine.
 * Cost: two loads, where a success is told of an endpoint that is fully in.
 * @returns what the endpoint has become, to the one caller of all threads that made it so
 */
export function reportCheck(
  endpoints: CheckedEndpoints,
  { poolRow, row }: { readonly poolRow: number; readonly row: number },
  report: CheckReport,
  thresholds: CheckThresholds,
): HealthFlip | null {
  const threshold = thresholdOf(thresholds, report);
  for (;;) {
    const counts = endpoints.checkCounts(row);
    const counted = countReport(counts, endpoints.has(row, "unhealthy"), report, threshold);
    if (counted === null) return null;
    if (!endpoints.replaceCheckCounts(row, counts, counted.counts)) continue;
    if (counted.flip === null) return null;
    return endpoints.setFlag(poolRow, row, "unhealthy", counted.flip === "unhealthy") ? counted.flip : null;
  }
}

function thresholdOf(thresholds: CheckThresholds, report: CheckReport): number {
  switch (report) {
    case "success":
      return thresholds.successes;
    case "http_failure":
      return thresholds.httpFailures;
    case "tcp_failure":
      return thresholds.tcpFailures;
    case "timeout":
      return thresholds.timeouts;
  }
}
