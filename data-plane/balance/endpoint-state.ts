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
  /** Takes the endpoint out; true for the one caller, of all threads, that did it. */
  eject(poolRow: number, row: number): boolean;
  /** An attempt of this worker at the endpoint begins. */
  attemptBegins(row: number): void;
  /** It is over, however it ended. */
  attemptEnds(row: number): void;
  /** Attempts of all workers that are under way at the endpoint. */
  inFlight(row: number): number;
}
