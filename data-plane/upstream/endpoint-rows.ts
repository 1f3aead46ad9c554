import type { EndpointFlag } from "../balance/endpoint-state.ts";
import type { EndpointTable } from "./endpoint-table.ts";

/** What makes an endpoint the same one as before, so that it keeps its row and with it what is known of it. */
export interface EndpointIdentity {
  /** Which target it belongs to now; says nothing of whether it is the same endpoint. "" for none. */
  readonly targetId: string;
  readonly poolKey: string;
  /** As configured. One address may serve several hosts; each is an endpoint of its own. */
  readonly host: string;
  /** What it is called instead, where SRV records lead to several names at one address. */
  readonly name?: string | null;
  readonly address: string;
  readonly port: number;
}

/** A row that is taken. */
export interface EndpointRow extends EndpointIdentity {
  readonly row: number;
  readonly poolRow: number;
}

interface Taken<T> {
  readonly value: T;
  /** What was sent when the workers were last told of it less, or null while the newest message names it. */
  retired: { readonly sequence: number; readonly atMs: number; isConfirmed: boolean } | null;
}

/**
 * Who has which row of the shared table. A row outlives the message that no longer names it by `keepMs`: requests
 * may still be under way on it, and an endpoint that comes back soon is known as it was. It is freed only when
 * every worker is known to have taken in a message without it, and nothing is under way on it.
 */
export class EndpointRows {
  readonly #table: EndpointTable;
  readonly #keepMs: number;
  readonly #onFree: (row: number) => void;
  readonly #pools = new Map<string, Taken<number>>();
  readonly #endpoints = new Map<string, Taken<EndpointRow>>();
  readonly #endpointByRow = new Map<number, Taken<EndpointRow>>();
  /** Keys of those that the newest message does not name: few, where there may be many rows. */
  readonly #retiredPools = new Set<string>();
  readonly #retiredEndpoints = new Set<string>();

  /** @param onFree called with each endpoint row that is freed, before anybody else can get it */
  constructor(table: EndpointTable, keepMs: number, onFree: (row: number) => void = () => {}) {
    this.#table = table;
    this.#onFree = onFree;
    this.#keepMs = keepMs;
  }

  /** The pool's row, a new one when it has none; null when the table is full. */
  poolRow(poolKey: string): number | null {
    const taken = this.#pools.get(poolKey);
    if (taken !== undefined) return taken.value;
    const row = this.#table.allocatePoolRow();
    if (row !== null) this.#pools.set(poolKey, { value: row, retired: null });
    return row;
  }

  /** The endpoint's row, a new one when it has none; null when the table is full. Its pool must have its row. */
  endpointRow(endpoint: EndpointIdentity): number | null {
    const key = `${endpoint.poolKey} ${endpoint.host} ${endpoint.name ?? ""} ${endpoint.address} ${endpoint.port}`;
    const taken = this.#endpoints.get(key);
    if (taken !== undefined) {
      // A target that was deleted and made anew.
      (taken.value as { targetId: string }).targetId = endpoint.targetId;
      return taken.value.row;
    }
    const row = this.#table.allocateEndpointRow();
    if (row === null) return null;
    const value = { ...endpoint, row, poolRow: this.#pools.get(endpoint.poolKey)!.value };
    const fresh = { value, retired: null };
    this.#endpoints.set(key, fresh);
    this.#endpointByRow.set(row, fresh);
    return row;
  }

  /** Who has a row; null for a free one, and for one that the newest message no longer names. */
  endpointAt(row: number): EndpointRow | null {
    const taken = this.#endpointByRow.get(row);
    return taken === undefined || taken.retired !== null ? null : taken.value;
  }

  /** The rows in use whose endpoints workers have taken out. */
  ejectedRows(): number[] {
    return this.flaggedRows("ejected");
  }

  /** The rows in use with this flag. */
  flaggedRows(flag: EndpointFlag): number[] {
    const isFlagged = (row: number) => this.endpointAt(row) !== null && this.#table.has(row, flag);
    return [...this.#endpointByRow.keys()].filter(isFlagged);
  }

  /** The rows of a target's endpoints, also those that the newest message no longer names. */
  rowsOf(poolKey: string, host: string, port: number): number[] {
    const rows: number[] = [];
    for (const { value } of this.#endpoints.values()) {
      if (value.poolKey === poolKey && value.host === host && value.port === port) rows.push(value.row);
    }
    return rows;
  }

  /** The message with this sequence number names these rows; all others are to go. */
  sent(sequence: number, poolKeys: ReadonlySet<string>, rows: ReadonlySet<number>, nowMs: number): void {
    const retired = () => ({ sequence, atMs: nowMs, isConfirmed: false });
    for (const [key, taken] of this.#pools) {
      if (poolKeys.has(key) === (taken.retired === null)) continue;
      taken.retired = taken.retired === null ? retired() : null;
      note(this.#retiredPools, key, taken);
    }
    for (const [key, taken] of this.#endpoints) {
      if (rows.has(taken.value.row) === (taken.retired === null)) continue;
      taken.retired = taken.retired === null ? retired() : null;
      note(this.#retiredEndpoints, key, taken);
    }
  }

  /** Every worker has taken in the messages up to this one. */
  confirmed(sequence: number): void {
    for (const key of this.#retiredPools) confirm(this.#pools.get(key)!, sequence);
    for (const key of this.#retiredEndpoints) confirm(this.#endpoints.get(key)!, sequence);
  }

  /** Frees what may go. Returns the freed endpoint rows. */
  sweep(nowMs: number): number[] {
    const isDue = ({ retired }: Taken<unknown>) =>
      retired?.isConfirmed === true && nowMs - retired.atMs >= this.#keepMs;
    const freed: number[] = [];
    for (const key of this.#retiredEndpoints) {
      const taken = this.#endpoints.get(key)!;
      // A tunnel may last for hours: what it gives back at its end must not be another endpoint's.
      if (!isDue(taken) || this.#table.isBusy(taken.value.row) || this.#isPoolLeft(taken.value)) continue;
      this.#endpoints.delete(key);
      this.#retiredEndpoints.delete(key);
      this.#endpointByRow.delete(taken.value.row);
      this.#onFree(taken.value.row);
      this.#table.freeEndpointRow(taken.value.row);
      freed.push(taken.value.row);
    }
    for (const key of this.#retiredPools) {
      const taken = this.#pools.get(key)!;
      if (!isDue(taken) || this.#table.isPoolBusy(taken.value)) continue;
      this.#pools.delete(key);
      this.#retiredPools.delete(key);
      this.#table.freePoolRow(taken.value);
    }
    return freed;
  }

  /** Whether the pool is gone and has requests left: those know nothing newer than the endpoints that it had. */
  #isPoolLeft({ poolKey, poolRow }: EndpointRow): boolean {
    const pool = this.#pools.get(poolKey);
    return pool !== undefined && pool.retired !== null && this.#table.isPoolBusy(poolRow);
  }
}

function note(retired: Set<string>, key: string, taken: Taken<unknown>): void {
  if (taken.retired === null) retired.delete(key);
  else retired.add(key);
}

function confirm({ retired }: Taken<unknown>, sequence: number): void {
  if (retired !== null && retired.sequence <= sequence) retired.isConfirmed = true;
}
