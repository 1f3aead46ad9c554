import type { EndpointSet } from "../config/worker-config.ts";
import { isRamping, type RampPolicy, rampAt, rampPolicy, rampWhileOut, wholeRamp } from "../health/ramp-schedule.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { Timers } from "../upstream/timers.ts";

export interface EndpointRampsOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
}

/**
 * How an endpoint comes in next. First: with all others, so it has all of its share. Joined: beside others that are in,
 * so it takes up its share slowly, but nobody waits to see whether it is well. Back: it was in before.
 */
type Entry = "first" | "joined" | "back";

/** An endpoint of a pool in which those that come in do not have all of their share at once. */
interface Watched {
  readonly endpoint: EndpointRow;
  policy: RampPolicy;
  entry: Entry;
  isOut: boolean;
  /** Since when it takes up its share; null: it is out, or has all. */
  growsSinceMs: number | null;
  /** As it stands in the table. */
  ramp: number;
}

/**
 * Slow start, and the delay after which a tier fails back. The ramp of an endpoint is written down in the moment in
 * which it goes out, so that it has no more than that in the moment in which it comes back, whichever thread brings it
 * back; from then on it grows, step by step.
 *
 * Whoever notices that an endpoint went in or out calls `look`. Timers run only while something grows.
 */
export class EndpointRamps {
  readonly #options: EndpointRampsOptions;
  readonly #watched = new Map<number, Watched>();
  /** Rows that were in use at the last update, of each pool in which endpoints come in slowly. */
  readonly #former = new Map<string, ReadonlySet<number>>();
  #cancelTimer = () => {};
  #isClosed = false;

  constructor(options: EndpointRampsOptions) {
    this.#options = options;
  }

  /** Endpoints that are in and do not have all of their weight. */
  get growingCount(): number {
    let count = 0;
    for (const { growsSinceMs } of this.#watched.values()) if (growsSinceMs !== null) count++;
    return count;
  }

  /** These pools and endpoints are in use from now on: before workers are told. */
  update(plans: readonly PoolPlan[], sets: ReadonlyMap<string, EndpointSet>): void {
    const kept = new Set<number>();
    const poolKeys = new Set<string>();
    for (const plan of plans) {
      // Nearly all: a large configuration has thousands.
      if (plan.balancing.slowStart === null && plan.balancing.failover.failBackDelayMs === 0) continue;
      const set = sets.get(plan.key);
      if (set === undefined) continue;
      poolKeys.add(plan.key);
      this.#updatePool(plan, set, kept);
    }
    for (const [row, watched] of this.#watched) if (!kept.has(row)) this.#forget(watched);
    for (const key of this.#former.keys()) if (!poolKeys.has(key)) this.#former.delete(key);
    this.#grow();
  }

  #updatePool({ key, balancing }: PoolPlan, set: EndpointSet, kept: Set<number>): void {
    const former = this.#former.get(key);
    this.#former.set(key, new Set(set.endpoints.map(({ row }) => row)));
    // Where none stays there is nobody to leave the requests to until the others are up.
    const joinsOthers = former !== undefined && set.endpoints.some(({ row }) => former.has(row));
    const lastTier = set.endpoints.reduce((last, { priority }) => Math.max(last, priority), 0);
    for (const { row, priority } of set.endpoints) {
      const policy = rampPolicy(balancing, priority < lastTier);
      const endpoint = this.#options.rows.endpointAt(row);
      if (endpoint === null || !isRamping(policy)) continue;
      kept.add(row);
      const known = this.#watched.get(row);
      if (known !== undefined && known.endpoint === endpoint) known.policy = policy;
      else this.#watch(endpoint, policy, former?.has(row) === true ? "back" : joinsOthers ? "joined" : "first");
      this.#judge(row);
    }
  }

  #watch(endpoint: EndpointRow, policy: RampPolicy, entry: Entry): void {
    // One that was here before has come in already, if it is in.
    const isOut = entry !== "back" || this.#options.table.isOut(endpoint.row);
    this.#watched.set(endpoint.row, { endpoint, policy, entry, isOut, growsSinceMs: null, ramp: wholeRamp });
  }

  /** The endpoint may have gone in or out. */
  look(row: number): void {
    if (!this.#watched.has(row) || this.#isClosed) return;
    this.#judge(row);
    this.#grow();
  }

  #judge(row: number): void {
    const watched = this.#watched.get(row)!;
    const { table, timers } = this.#options;
    const wasOut = watched.isOut;
    watched.isOut = table.isOut(row);
    if (watched.isOut) {
      watched.growsSinceMs = null;
      this.#set(watched, this.#rampWhileOut(watched));
    } else if (wasOut) {
      const { entry, policy } = watched;
      if (entry !== "first") watched.growsSinceMs = timers.nowMs() - (entry === "joined" ? policy.holdMs : 0);
      watched.entry = "back";
    }
  }

  #rampWhileOut({ entry, policy }: Watched): number {
    if (entry === "first") return wholeRamp;
    return rampWhileOut(entry === "joined" ? { ...policy, holdMs: 0 } : policy);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelTimer();
  }

  /** Gives everyone what is due now, and comes back when something else is. */
  #grow(): void {
    this.#cancelTimer();
    const { timers } = this.#options;
    const nowMs = timers.nowMs();
    let nextInMs = Number.POSITIVE_INFINITY;
    for (const watched of this.#watched.values()) {
      if (watched.growsSinceMs === null) continue;
      const step = rampAt(watched.policy, nowMs - watched.growsSinceMs);
      this.#set(watched, step.ramp);
      if (step.nextInMs === null) watched.growsSinceMs = null;
      else nextInMs = Math.min(nextInMs, step.nextInMs);
    }
    if (nextInMs === Number.POSITIVE_INFINITY || this.#isClosed) return;
    this.#cancelTimer = timers.after(nextInMs, () => this.#grow());
  }

  #set(watched: Watched, ramp: number): void {
    if (watched.ramp === ramp) return;
    watched.ramp = ramp;
    const { row, poolRow } = watched.endpoint;
    this.#options.table.setRamp(poolRow, row, ramp);
  }

  /** It is in use no more, or nothing is said of its pool any more. A row that was freed has no ramp already. */
  #forget(watched: Watched): void {
    const { row } = watched.endpoint;
    this.#watched.delete(row);
    this.#set(watched, wholeRamp);
  }
}
