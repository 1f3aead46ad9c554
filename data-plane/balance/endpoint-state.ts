/** Why an endpoint is out, or in whatever else is said of it; see upstream/endpoint-table.ts. */
export type EndpointFlag = "ejected" | "unhealthy" | "forced_out" | "forced_in" | "stalled";

/**
 * What the pure pickers need from the endpoint table that all workers share. Rows are the
 * numbers in PoolConfig.poolRow and EndpointConfig.row.
 */
export interface EndpointState {
  /** Whether the endpoint is out of the rotation. */
  isOut(row: number): boolean;
  has(row: number, flag: EndpointFlag): boolean;
  /** Changes whenever an endpoint of the pool goes out or comes back. */
  generation(poolRow: number): number;
  /** Where the pool's cursor stands, 0..2^32-1. */
  cursor(poolRow: number): number;
  /** Moves the pool's cursor one turn on; returns where it stood, 0..2^32-1. One cursor for all workers. */
  advanceCursor(poolRow: number): number;
  /** The same to the next place that is not skipped. @param skips places to leave out, from each place of a wheel on */
  advanceCursorPast(poolRow: number, skips: Uint16Array): number;
  /** Takes the endpoint out; true for the one caller, of all threads, that did it. */
  eject(poolRow: number, row: number): boolean;
  /** An attempt of this worker at the endpoint begins. */
  attemptBegins(poolRow: number, row: number): void;
  /** It is over, however it ended. */
  attemptEnds(poolRow: number, row: number): void;
  /** Attempts of all workers that are under way at the endpoint. */
  inFlight(row: number): number;
  /** The same of all endpoints of the pool. */
  poolInFlight(poolRow: number): number;
  /** Whether so many requests, or more, are admitted to the endpoint that it takes no further one. */
  isAtLimit(row: number, max: number): boolean;
  /** How much of its weight the endpoint has, in thousandths: 1000 unless it comes back slowly; 0 = held back. */
  ramp(row: number): number;
  /** Grows with each endpoint of the pool that goes out: the one that went out last has the largest. 0 for one that never did. */
  outOrder(row: number): number;
  /** How long it takes to begin an answer, in microseconds, smoothed (peak-ewma.ts); 0 when nothing is known. */
  latencyUs(row: number): number;
  /** Milliseconds since that was observed. */
  latencyAgeMs(row: number, nowMs: number): number;
}
