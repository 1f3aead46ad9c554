import { defaultEjectionTimes, EjectionSchedule, type EjectionTimes } from "../health/ejection-schedule.ts";
import type { EndpointFinding } from "../health/endpoint-finding.ts";
import type { TrialOutcome } from "../health/trial-outcome.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { HttpPing } from "../upstream/http-ping.ts";
import type { Timers } from "../upstream/timers.ts";
import type { TcpCheck } from "./tcp-check.ts";
import { Trials } from "./trials.ts";

export interface ReadmissionOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly check: TcpCheck;
  readonly ping: HttpPing;
  /** How long one probe may take. */
  readonly probeTimeoutMs: number;
  /** Probes under way at once; others are late. */
  readonly probesMax: number;
  /** Of the pool; null for the default. */
  readonly timesOf: (poolKey: string) => EjectionTimes | null;
  readonly onEjected: (endpoint: EndpointRow, cause: string) => void;
  readonly onProbeFailed: (endpoint: EndpointRow, problem: string) => void;
  readonly onReadmitted: (endpoint: EndpointRow) => void;
}

/** Time between looks for endpoints that are out without having been reported. */
const RECONCILE_INTERVAL_MS = 5_000;
/** What a connection that comes about disproves; all else needs a request. */
const CONNECT_CAUSES: ReadonlySet<string> = new Set(["refused", "unreachable", "connect_timeout", "found ejected"]);

/**
 * Tries ejected endpoints again and puts each back into the rotation at its first success. Workers take endpoints out;
 * this, on the main thread, alone brings them back. An endpoint that could not be connected to is back when it can be;
 * one that took connections and did badly is half open then: one request is its trial. What is scheduled stands through
 * changes of the config.
 */
export class EndpointReadmission {
  readonly #options: ReadmissionOptions;
  readonly #schedule = new EjectionSchedule();
  readonly #trials: Trials;
  #probeCount = 0;
  #cancelTimer = () => {};
  #cancelReconcile = () => {};
  #isClosed = false;

  constructor(options: ReadmissionOptions) {
    this.#options = options;
    const { table, timers } = options;
    this.#trials = new Trials({ table, timers, onUntaken: (row, byAny) => void this.#untaken(row, byAny) });
    this.#reconcileLater();
  }

  /** Endpoints that are out now. */
  get ejectedCount(): number {
    return this.#schedule.size;
  }

  /** A worker took the endpoint out. @param retryAfterMs what the endpoint asked for; 0 = nothing */
  ejected(row: number, cause: string, retryAfterMs = 0): void {
    const endpoint = this.#options.rows.endpointAt(row);
    // Reported while it was being given back, by a worker that still had a request on it.
    if (endpoint === null || this.#isClosed) return;
    const { timers, random, timesOf, onEjected } = this.#options;
    const times = timesOf(endpoint.poolKey) ?? defaultEjectionTimes;
    if (!this.#schedule.eject(row, { times, cause, retryAfterMs }, timers.nowMs(), random())) return;
    onEjected(endpoint, cause);
    this.#arm();
  }

  /** A request was sent to an endpoint that is out: as its trial, or because every endpoint is out. */
  trialEnded(row: number, outcome: TrialOutcome, cause: string): void {
    const endpoint = this.#options.rows.endpointAt(row);
    if (this.#isClosed) return;
    if (endpoint === null) this.#remove(row);
    else if (!this.#schedule.has(row)) this.#trials.forget(row);
    else if (outcome === "passed") this.#readmit(row);
    else if (this.#trials.isUnderWay(endpoint.poolRow, row)) {
      this.#trials.end(endpoint.poolRow, row);
      if (outcome === "failed") this.#stillOut(endpoint, cause);
      else this.#offer(endpoint, false);
    }
  }

  /** A person put the endpoint back: nothing is to be found out any more. */
  forgiven(row: number): void {
    this.#remove(row);
    this.#arm();
  }

  #remove(row: number): void {
    this.#schedule.remove(row);
    this.#trials.forget(row);
  }

  #offer(endpoint: EndpointRow, byAny: boolean): void {
    const { poolRow, row } = endpoint;
    // Whom a person took out gets nothing, and need not be tried before that is over.
    if (this.#options.table.has(row, "forced_out")) this.#stillOut(endpoint, "taken out by a person");
    else this.#trials.offer(poolRow, row, byAny);
  }

  /** What a worker found out of an endpoint. */
  found(finding: Exclude<EndpointFinding, { type: "health" }>): void {
    if (finding.type === "ejected") this.ejected(finding.endpointRow, finding.cause, finding.retryAfterMs);
    else this.trialEnded(finding.endpointRow, finding.outcome, finding.cause);
  }

  close(): void {
    this.#isClosed = true;
    this.#trials.close();
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
    const { rows, probeTimeoutMs } = this.#options;
    const endpoint = rows.endpointAt(row);
    if (endpoint === null) {
      this.#remove(row);
      return;
    }
    const ask = this.#schedule.causeOf(row) === "stalled" ? this.#askAwake : this.#options.check;
    this.#probeCount++;
    const problem = await ask(endpoint.address, endpoint.port, probeTimeoutMs);
    this.#probeCount--;
    if (this.#isClosed) return;
    // The row may have been freed, and even given to another endpoint, while the probe was under way.
    if (rows.endpointAt(row) !== endpoint) this.#remove(row);
    // Else it is back already, by a request that was sent there since all were out, or by a person's word.
    else if (this.#schedule.has(row)) this.#probed(endpoint, problem);
    this.#arm();
  }

  #probed(endpoint: EndpointRow, problem: string | null): void {
    const { timers, random } = this.#options;
    if (problem !== null) this.#stillOut(endpoint, problem);
    else if (!this.#schedule.probeSucceeded(endpoint.row, timers.nowMs(), random())) this.#arm();
    else if (CONNECT_CAUSES.has(this.#schedule.causeOf(endpoint.row))) this.#readmit(endpoint.row);
    else this.#offer(endpoint, false);
  }

  /**
   * Whether the server does anything at all. What hangs takes connections all the same, and a request there would have to
   * wait for as long as its route allows.
   */
  readonly #askAwake: TcpCheck = async (address, port, timeoutMs) => {
    const problem = await this.#options.ping(address, port, timeoutMs);
    return problem === "closed" || problem === "ECONNRESET" ? null : problem;
  };

  /** No request came that could have been sent again, so one that could not must not be risked: we ask ourselves. */
  async #untaken(row: number, byAny: boolean): Promise<void> {
    const { rows, ping, probeTimeoutMs } = this.#options;
    const endpoint = rows.endpointAt(row);
    if (endpoint === null || this.#isClosed) return;
    // Nobody is there to try it, so nobody is hurt either when it is put back.
    if (byAny) {
      this.#readmit(row);
      return;
    }
    const problem = await ping(endpoint.address, endpoint.port, probeTimeoutMs);
    if (this.#isClosed || rows.endpointAt(row) !== endpoint || !this.#schedule.has(row)) return;
    if (problem !== null) this.#stillOut(endpoint, problem);
    // That it answers us says nothing about what it answers: only one more request can.
    else if (this.#schedule.causeOf(row) === "bad_answers") this.#offer(endpoint, true);
    else this.#readmit(row);
  }

  #stillOut(endpoint: EndpointRow, problem: string): void {
    const { timers, random, onProbeFailed } = this.#options;
    this.#schedule.probeFailed(endpoint.row, timers.nowMs(), random());
    onProbeFailed(endpoint, problem);
    this.#arm();
  }

  #readmit(row: number): void {
    const { rows, table, timers, onReadmitted } = this.#options;
    const endpoint = rows.endpointAt(row);
    // Out of the schedule first: a worker that ejects it right after must find it unknown, and so scheduled anew.
    const wasOut = this.#schedule.back(row, timers.nowMs());
    if (endpoint === null || !wasOut) return;
    this.#trials.end(endpoint.poolRow, row);
    table.readmit(endpoint.poolRow, row);
    onReadmitted(endpoint);
  }

  /** A worker may die between taking an endpoint out and saying so; nobody else would ever bring it back. */
  #reconcile(): void {
    for (const row of this.#options.rows.ejectedRows()) {
      if (!this.#schedule.has(row)) this.ejected(row, "found ejected");
    }
    for (const row of this.#schedule.rows()) {
      if (this.#options.rows.endpointAt(row) === null) this.#remove(row);
    }
    this.#schedule.forgetPast(this.#options.timers.nowMs());
    this.#reconcileLater();
  }

  #reconcileLater(): void {
    this.#cancelReconcile = this.#options.timers.after(RECONCILE_INTERVAL_MS, () => {
      if (!this.#isClosed) this.#reconcile();
    });
  }
}
