import type { ActiveCheckConfig } from "../config/health-check-config.ts";
import type { HealthFlip } from "../health/check-counts.ts";
import { judgeProbe, type ProbeOutcome } from "../health/probe-outcome.ts";
import { ProbeSchedule } from "../health/probe-schedule.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import { reportCheck } from "../upstream/report-check.ts";
import type { Timers } from "../upstream/timers.ts";
import { probePlace } from "./probe-place.ts";
import type { SendProbe } from "./send-probe.ts";

export interface ActiveChecksOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly send: SendProbe;
  /** Probes under way at once, of all pools. */
  readonly probesMax: number;
  /** A probe has ended that says something of the endpoint. */
  readonly onProbed: (endpoint: EndpointRow, isSuccess: boolean, reason: string) => void;
  /** A probe has put the endpoint in or out. */
  readonly onFlip: (endpoint: EndpointRow, flip: HealthFlip, reason: string) => void;
}

/**
 * Probes begin together, so often: the thread wakes up for several of them, which costs a third of waking up for each
 * (`npm run prove -- health-check-load`). Short intervals have a shorter one, a part of themselves.
 */
const tickMaxMs = 100;
const ticksPerInterval = 20;

/** An endpoint that is to be probed. */
export interface CheckedEndpoint {
  readonly endpoint: EndpointRow;
  readonly check: ActiveCheckConfig;
}

/**
 * Probes endpoints, on the main thread, and tells the state machine of each what came of it. What is known of an
 * endpoint is in its row, so that changes of the configuration neither begin anew nor send a probe earlier.
 */
export class ActiveChecks {
  readonly #options: ActiveChecksOptions;
  readonly #schedule: ProbeSchedule;
  readonly #byRow = new Map<number, CheckedEndpoint>();
  #cancelTimer = () => {};
  #tickMs = tickMaxMs;
  #isClosed = false;

  constructor(options: ActiveChecksOptions) {
    this.#options = options;
    this.#schedule = new ProbeSchedule(options.probesMax, options.random());
  }

  /** Addresses with their checks, each of which is one prober. */
  get proberCount(): number {
    return this.#schedule.proberCount;
  }

  get runningCount(): number {
    return this.#schedule.runningCount;
  }

  /** These endpoints are probed from now on, and no others. */
  update(wanted: readonly CheckedEndpoint[]): void {
    this.change([...this.#byRow.keys()], wanted);
  }

  /** These endpoints are probed from now on, in place of those with these rows; all others stay as they are. */
  change(goneRows: Iterable<number>, wanted: readonly CheckedEndpoint[]): void {
    const { random } = this.#options;
    const rows = new Set(wanted.map(({ endpoint }) => endpoint.row));
    for (const row of goneRows) {
      if (rows.has(row) || !this.#byRow.delete(row)) continue;
      this.#schedule.remove(row, random());
    }
    for (const checked of wanted) this.#byRow.set(checked.endpoint.row, checked);
    this.#tickMs = tickMaxMs;
    for (const { check } of this.#byRow.values()) this.#tickMs = Math.min(this.#tickMs, tickOf(check));
    for (const checked of wanted) this.#plan(checked);
    this.#arm();
  }

  /** Something else than a probe has put the endpoint in or out: it is probed at the other interval now. */
  flipped(row: number): void {
    const checked = this.#byRow.get(row);
    if (checked === undefined) return;
    this.#plan(checked);
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }

  #plan({ endpoint, check }: CheckedEndpoint): void {
    const { table, timers, random } = this.#options;
    const { address, port, host } = probePlace(endpoint, check.probe);
    // Who is asked under another name may answer otherwise.
    const name = check.probe.hostHeader === null && check.probe.type !== "tcp" ? host : "";
    const isOut = table.has(endpoint.row, "unhealthy");
    this.#schedule.set(
      endpoint.row,
      {
        probeKey: `${address}|${port}|${name}|${check.probe.key}`,
        poolKey: endpoint.poolKey,
        concurrency: check.concurrency,
        intervalMs: isOut ? check.unhealthyIntervalMs : check.healthyIntervalMs,
        // One that is out is to be back within an interval; nodes have grids of their own in any case.
        jitterRatio: isOut ? 0 : check.jitterRatio,
        isUrgent: isOut,
      },
      timers.nowMs(),
      random(),
    );
  }

  #arm(): void {
    this.#cancelTimer();
    const dueAtMs = this.#schedule.nextDueAtMs();
    if (dueAtMs === null || this.#isClosed) return;
    // On a grid of its own, so that the probes of one endpoint stay an interval apart.
    const tickAtMs = Math.ceil(dueAtMs / this.#tickMs) * this.#tickMs;
    const delayMs = Math.max(tickAtMs - this.#options.timers.nowMs(), 0);
    this.#cancelTimer = this.#options.timers.after(delayMs, () => {
      this.#startDue();
      this.#arm();
    });
  }

  #startDue(): void {
    for (const { probeKey, rows } of this.#schedule.takeDue(this.#options.timers.nowMs())) {
      void this.#probe(probeKey, rows);
    }
  }

  async #probe(probeKey: string, rows: readonly number[]): Promise<void> {
    const { timers, random, send } = this.#options;
    const asked = rows.flatMap((row) => this.#byRow.get(row) ?? []);
    const [first] = asked;
    if (first !== undefined) {
      const outcome = await send(probePlace(first.endpoint, first.check.probe), first.check.probe);
      if (this.#isClosed) return;
      for (const { endpoint } of asked) this.#tell(endpoint, probeKey, outcome);
    }
    this.#schedule.finished(probeKey, timers.nowMs(), random());
    // What waited for room goes first.
    this.#startDue();
    this.#arm();
  }

  #tell(endpoint: EndpointRow, probeKey: string, outcome: ProbeOutcome): void {
    const { table, rows, onProbed, onFlip } = this.#options;
    // Gone, or of another check, while the probe was under way.
    const checked = this.#byRow.get(endpoint.row);
    if (checked?.endpoint !== endpoint || rows.endpointAt(endpoint.row) !== endpoint) return;
    if (!probeKey.endsWith(`|${checked.check.probe.key}`)) return;
    const { probe, statusKinds, thresholds } = checked.check;
    const { report, reason } = judgeProbe(outcome, probe, statusKinds);
    if (report === null) return;
    onProbed(endpoint, report === "success", reason);
    const flip = reportCheck(table, endpoint, report, thresholds);
    if (flip === null) return;
    this.#plan(checked);
    onFlip(endpoint, flip, reason);
  }
}

function tickOf({ healthyIntervalMs, unhealthyIntervalMs }: ActiveCheckConfig): number {
  const intervals = [healthyIntervalMs, unhealthyIntervalMs].filter((intervalMs) => intervalMs > 0);
  return Math.min(...intervals) / ticksPerInterval;
}
