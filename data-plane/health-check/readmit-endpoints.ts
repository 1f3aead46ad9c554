import { EjectionSchedule, type EjectionTimes } from "../health/ejection-schedule.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { Timers } from "../upstream/timers.ts";
import type { TcpCheck } from "./tcp-check.ts";

export interface ReadmissionOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly check: TcpCheck;
  /** How long one probe may take. */
  readonly probeTimeoutMs: number;
  /** Probes under way at once; others are late. */
  readonly probesMax: number;
  readonly times?: EjectionTimes;
  readonly onEjected: (endpoint: EndpointRow, cause: string) => void;
  readonly onProbeFailed: (endpoint: EndpointRow, problem: string) => void;
  readonly onReadmitted: (endpoint: EndpointRow) => void;
}

/** Time between looks for endpoints that are out without having been reported. */
const RECONCILE_INTERVAL_MS = 5_000;

/**
 * Tries ejected endpoints again and puts each back into the rotation at its first success. Workers take endpoints
 * out; this, on the main thread, alone brings them back. What is scheduled stands through changes of the config.
 */
export class EndpointReadmission {
  readonly #options: ReadmissionOptions;
  readonly #schedule: EjectionSchedule;
  #probeCount = 0;
  #cancelTimer = () => {};
  #cancelReconcile = () => {};
  #isClosed = false;

  constructor(options: ReadmissionOptions) {
    this.#options = options;
    this.#schedule = new EjectionSchedule(options.times);
    this.#reconcileLater();
  }

  /** Endpoints that are out now. */
  get ejectedCount(): number {
    return this.#schedule.size;
  }

  /** A worker took the endpoint out. */
  ejected(row: number, cause: string): void {
    const endpoint = this.#options.rows.endpointAt(row);
    // Reported while it was being given back, by a worker that still had a request on it.
    if (endpoint === null || this.#isClosed) return;
    if (!this.#schedule.eject(row, this.#options.timers.nowMs(), this.#options.random())) return;
    this.#options.onEjected(endpoint, cause);
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
    this.#cancelReconcile();
  }

  #arm(): void {
    this.#cancelTimer();
    const dueAtMs = this.#schedule.nextDueAtMs();
    if (dueAtMs === null || this.#isClosed || this.#probeCount >= this.#options.probesMax) return;
    const delayMs = Math.max(dueAtMs - this.#options.timers.nowMs(), 0);
    this.#cancelTimer = this.#options.timers.after(delayMs, () => this.#probeDue());
  }

  #probeDue(): void {
    const { timers, probesMax } = this.#options;
    for (const row of this.#schedule.takeDue(timers.nowMs(), probesMax - this.#probeCount)) void this.#probe(row);
    this.#arm();
  }

  async #probe(row: number): Promise<void> {
    const { rows, table, timers, check, probeTimeoutMs, random } = this.#options;
    const endpoint = rows.endpointAt(row);
    if (endpoint === null) {
      this.#schedule.remove(row);
      return;
    }
    this.#probeCount++;
    const problem = await check(endpoint.address, endpoint.port, probeTimeoutMs);
    this.#probeCount--;
    if (this.#isClosed) return;
    // The row may have been freed, and even given to another endpoint, while the probe was under way.
    if (rows.endpointAt(row) !== endpoint) {
      this.#schedule.remove(row);
    } else if (problem !== null) {
      this.#schedule.probeFailed(row, timers.nowMs(), random());
      this.#options.onProbeFailed(endpoint, problem);
    } else {
      // Out of the schedule first: a worker that ejects it right after must find it unknown, and so scheduled anew.
      this.#schedule.remove(row);
      table.readmit(endpoint.poolRow, row);
      this.#options.onReadmitted(endpoint);
    }
    this.#arm();
  }

  /** A worker may die between taking an endpoint out and saying so; nobody else would ever bring it back. */
  #reconcile(): void {
    for (const row of this.#options.rows.ejectedRows()) {
      if (!this.#schedule.has(row)) this.ejected(row, "found ejected");
    }
    for (const row of this.#schedule.rows()) {
      if (this.#options.rows.endpointAt(row) === null) this.#schedule.remove(row);
    }
    this.#reconcileLater();
  }

  #reconcileLater(): void {
    this.#cancelReconcile = this.#options.timers.after(RECONCILE_INTERVAL_MS, () => {
      if (!this.#isClosed) this.#reconcile();
    });
  }
}
