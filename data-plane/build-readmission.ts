import { httpPing } from "./health-check/http-ping.ts";
import { EndpointReadmission, type ReadmissionOptions } from "./health-check/readmit-endpoints.ts";
import { tcpCheck } from "./health-check/tcp-check.ts";
import { formatAddress } from "./listen-addresses.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";
import type { EndpointRow, EndpointRows } from "./upstream/endpoint-rows.ts";
import type { EndpointTable } from "./upstream/endpoint-table.ts";
import type { NameResolver } from "./upstream/resolve-name.ts";
import { systemTimers as timers } from "./upstream/timers.ts";

interface ReadmissionInput {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly names: NameResolver;
  readonly log: Log;
  readonly counters: NodeCounters;
  readonly timesOf: ReadmissionOptions["timesOf"];
}

/** What brings endpoints back that were taken out. */
export function buildReadmission({
  table,
  rows,
  names,
  log,
  counters,
  timesOf,
}: ReadmissionInput): EndpointReadmission {
  const told = ({ poolKey, address, port }: EndpointRow) => ({
    pool: poolKey,
    endpoint: formatAddress({ host: address, port }),
  });
  return new EndpointReadmission({
    table,
    rows,
    timers,
    random: Math.random,
    timesOf,
    check: tcpCheck,
    ping: httpPing,
    probeTimeoutMs: 2_000,
    probesMax: 64,
    onEjected(endpoint, cause) {
      log.warn({ ...told(endpoint), cause }, "endpoint ejected");
      // Its host may have moved.
      names.refresh(endpoint.host);
    },
    onProbeFailed(endpoint, problem) {
      counters.probe_failures++;
      log.debug({ ...told(endpoint), problem }, "probe failed");
      names.refresh(endpoint.host);
    },
    onReadmitted(endpoint) {
      counters.readmissions++;
      log.info(told(endpoint), "endpoint readmitted");
    },
  });
}
