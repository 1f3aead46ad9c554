import type { ResilienceConfig } from "../config/resilience-config.ts";
import type { KeptWaits } from "./kept-waits.ts";
import { LongestWait } from "./longest-wait.ts";
import { RetryBudget } from "./retry-budget.ts";
import { RouteWaits } from "./route-waits.ts";
import { StatusShares } from "./status-shares.ts";

const connectFloorMs = 500;
const connectFactor = 4;

/** What a worker remembers of a pool's traffic; it outlives snapshots for as long as they name the pool. */
export class PoolHistory {
  readonly budget: RetryBudget;
  /** How long connecting took. */
  readonly connects = new LongestWait();
  readonly shares = new StatusShares();
  readonly #routes = new Map<string, RouteWaits>();
  readonly #kept: KeptWaits;
  /** The configuration has it no more: requests that go on leave nothing behind. */
  #isClosed = false;

  /** @param kept of all pools of the worker */
  constructor({ budget }: ResilienceConfig, workerShare: number, kept: KeptWaits) {
    this.budget = new RetryBudget(budget, workerShare);
    this.#kept = kept;
  }

  get routeCount(): number {
    return this.#routes.size;
  }

  waitsOf(routeId: string): RouteWaits {
    let waits = this.#routes.get(routeId);
    if (waits === undefined) {
      waits = new RouteWaits(this.#kept);
      if (this.#isClosed) waits.close();
      else this.#routes.set(routeId, waits);
    }
    return waits;
  }

  /** How long connecting may take where another endpoint can be tried. */
  connectLimitMs(nowMs: number): number {
    return Math.max(connectFloorMs, connectFactor * this.connects.longestMs(nowMs));
  }

  retainOnly(routeIds: Pick<ReadonlySet<string>, "has">, rows: ReadonlySet<number>): void {
    for (const [id, waits] of this.#routes) {
      if (routeIds.has(id)) waits.retainOnly(rows);
      else {
        waits.close();
        this.#routes.delete(id);
      }
    }
  }

  /** The configuration has the pool no more. */
  close(): void {
    this.#isClosed = true;
    for (const waits of this.#routes.values()) waits.close();
    this.#routes.clear();
  }
}
