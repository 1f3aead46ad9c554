const names = [
  "requests",
  "responses_1xx",
  "responses_2xx",
  "responses_3xx",
  "responses_4xx",
  "responses_5xx",
  "rejected_requests",
  "connections_accepted",
  "connections_active",
  "connections_refused",
  "handshakes_active",
  "tunnels_opened",
  "tunnels_active",
  "attempts",
  "connect_failures",
  "attempts_lost",
  "retries",
  "retries_over_budget",
  "ejections",
  "queued",
  "queued_active",
  "client_aborts",
  "responses_cut",
  "defects",
  "shed",
  "accept_pauses",
  "limit_head_bytes",
  "limit_header_count",
  "limit_uri_bytes",
  "limit_body_bytes",
  "limit_connections",
  "limit_address_connections",
  "limit_pipelined",
  "limit_handshakes",
  "limit_handshake_time",
  "limit_head_time",
  "limit_body_rate",
  "limit_read_rate",
  "limit_idle_time",
  "limit_tunnel_idle_time",
  "limit_connect_time",
  "limit_write_time",
  "limit_read_time",
  "limit_total_time",
  "limit_in_flight",
  "limit_queue_time",
  "access_log_lines_dropped",
] as const;
export type CounterName = (typeof names)[number];

/** Index of each counter, for the hot path. */
export const Counter = Object.fromEntries(names.map((name, index) => [name, index])) as Readonly<
  Record<CounterName, number>
>;

/** What a worker counts, in one typed array: counting is an addition, and nobody is told until somebody asks. */
export class ProxyCounters {
  readonly #values = new Float64Array(names.length);

  add(counter: number, count = 1): void {
    this.#values[counter]! += count;
  }

  subtract(counter: number): void {
    this.#values[counter]!--;
  }

  value(name: CounterName): number {
    return this.#values[Counter[name]]!;
  }

  /** All of them by name. */
  read(): Record<CounterName, number> {
    return Object.fromEntries(names.map((name, index) => [name, this.#values[index]!])) as Record<CounterName, number>;
  }
}
