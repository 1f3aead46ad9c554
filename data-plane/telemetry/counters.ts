/**
 * What the main thread counts since the node started; workers count what concerns traffic. Names are those of the
 * metrics: `snapshots_applied` is shown as `penstock_snapshots_applied_total`.
 */
export interface NodeCounters {
  snapshots_applied: number;
  snapshots_refused: number;
  /** Snapshots that could not be written to disk. */
  snapshot_save_failures: number;
  workers_lost: number;
  /** Workers that handed their place over. */
  workers_replaced: number;
  /** Snapshots given up because worker after worker was lost with them. */
  snapshots_withdrawn: number;
  readmissions: number;
  probe_failures: number;
  /** Probes of health checks that ended with a word on their endpoint. */
  health_probes: number;
  health_probe_failures: number;
  /** Lookups that brought no address. */
  name_problems: number;
  /** Times that a name came to stand for other endpoints. */
  name_changes: number;
  /** Messages to name servers, also those that were sent again. */
  dns_queries: number;
  /** Of those, the ones over TCP, because the reply was too long for a datagram. */
  dns_tcp_queries: number;
  /** Queries that a name server did not reply to, or could say nothing to. */
  dns_server_failures: number;
  /** Lines of the access log that could not be written. */
  access_log_lines_lost: number;
}

export function nodeCounters(): NodeCounters {
  return {
    snapshots_applied: 0,
    snapshots_refused: 0,
    snapshot_save_failures: 0,
    workers_lost: 0,
    workers_replaced: 0,
    snapshots_withdrawn: 0,
    readmissions: 0,
    probe_failures: 0,
    health_probes: 0,
    health_probe_failures: 0,
    name_problems: 0,
    name_changes: 0,
    dns_queries: 0,
    dns_tcp_queries: 0,
    dns_server_failures: 0,
    access_log_lines_lost: 0,
  };
}

/** Whether a counter of this name says how many there are now, and so ends with the worker that has them. */
export function isLevel(counterName: string): boolean {
  return counterName.endsWith("_active");
}
