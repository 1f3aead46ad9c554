import type { ConfigPage } from "../config/encoded-config.ts";
import { isAlike } from "../config/is-alike.ts";
import type { EndpointSet, PoolConfig, ServiceConfig } from "../config/worker-config.ts";
import type { PoolHistory } from "../health/pool-history.ts";
import { RouteTableEdit } from "../route/route-table.ts";
import type { ConfigHead, ServedPool, ServedSnapshot, SnapshotSwap } from "./snapshot-holder.ts";

type ToPool = (config: PoolConfig, set: EndpointSet, former: ServedPool | null) => ServedPool;
type EditedParts = Pick<ServedSnapshot, "routes" | "services" | "pools" | "tlsKeys">;

/** Steps that are small are taken so many at a time. */
const smallStepCount = 256;
/** Services that are taken in one step. */
const itemsPerStep = 8;

/**
 * What becomes the next snapshot, beside the one that is served, which stays as it is. Where all comes anew, what says
 * the same as what is served is left to be that: what a worker makes anew and keeps is what collecting garbage costs
 * it, in one go.
 */
export class SnapshotEdit {
  readonly #isWhole: boolean;
  readonly #toPool: ToPool;
  readonly #before: ServedSnapshot | null;
  /** Pools that are served, by their keys: where all comes anew, slots say nothing of what was there. */
  readonly #known = new Map<string, ServedPool>();
  readonly #pools: (ServedPool | null)[];
  readonly #services: (ServiceConfig | null)[];
  readonly #routes: RouteTableEdit;
  readonly #routesBefore: ServedSnapshot["routes"] | null;
  readonly #changedPools: ServedPool[] = [];
  /** Of pools that are there no more. */
  readonly #left: PoolHistory[] = [];
  /** Of the whole, all that are there; of a change, those that go. */
  readonly #routeIds = new Set<string>();
  /** Of any service: its settings, or the pool that it has them for. */
  #hasTlsChanged = false;
  #hasTls: boolean;
  #mayLeavePlaces: boolean;
  #tlsKeys: ReadonlySet<string>;

  constructor(current: ServedSnapshot | null, { isWhole }: ConfigHead, toPool: ToPool) {
    this.#isWhole = isWhole;
    this.#toPool = toPool;
    this.#before = current;
    const before = isWhole ? null : current;
    this.#pools = before === null ? [] : before.pools.slice();
    this.#services = before === null ? [] : before.services.slice();
    this.#routesBefore = before?.routes ?? null;
    this.#routes = new RouteTableEdit(this.#routesBefore);
    this.#tlsKeys = before?.tlsKeys ?? new Set();
    this.#hasTls = (current?.tlsKeys.size ?? 0) > 0;
    this.#mayLeavePlaces = isWhole && current !== null;
  }

  /** To be taken before anything else. */
  *beginSteps(): Generator<void, void> {
    if (!this.#isWhole) return;
    for (const [slot, pool] of (this.#before?.pools ?? []).entries()) {
      if (pool !== null) this.#known.set(pool.config.key, pool);
      if (slot % smallStepCount === 0) yield;
    }
  }

  /** Takes what a page says, in steps of one item. */
  *takeSteps({ pools = [], services = [], routes = [] }: ConfigPage): Generator<void, void> {
    for (const [slot, pool, set] of pools) {
      this.#setPool(slot, pool, set);
      yield;
    }
    for (const [slot, service] of services) {
      const former = this.#services[slot] ?? null;
      const isTlsSame = former?.tls?.key === service?.tls?.key && former?.poolIndex === service?.poolIndex;
      this.#hasTlsChanged ||= !isTlsSame;
      this.#hasTls ||= (service?.tls ?? null) !== null;
      put(this.#services, slot, this.#served(service, this.#before?.services[slot]));
      if (slot % itemsPerStep === 0) yield;
    }
    for (const [slot, route] of routes) {
      const former = this.#routesBefore?.routes[slot] ?? null;
      if (this.#isWhole) this.#routeIds.add(route!.id);
      else if (former !== null && former.id !== route?.id) this.#routeIds.add(former.id);
      this.#routes.set(slot, this.#served(route, this.#before?.routes.routes[slot]));
      yield;
    }
    this.#routes.settle();
  }

  #setPool(slot: number, config: PoolConfig | null, set: EndpointSet | null): void {
    const there = this.#isWhole ? this.#known.get(config?.key ?? "") : (this.#pools[slot] ?? undefined);
    const former = there !== undefined && there.config.key === config?.key ? there : null;
    if (there !== undefined && former === null) this.#leave(there);
    if (former !== null) this.#known.delete(former.config.key);
    if (config === null) {
      put(this.#pools, slot, null);
      return;
    }
    if (this.#isWhole && former !== null && isSamePool(former, config, set)) {
      put(this.#pools, slot, former);
      return;
    }
    const pool = this.#toPool(config, set ?? former?.set ?? unresolved(config.key), former);
    if (former !== null) this.#mayLeavePlaces ||= !hasAllPlaces(pool.set, former.set);
    this.#changedPools.push(pool);
    put(this.#pools, slot, pool);
  }

  /** What comes, or what is served in its slot if that is the same. */
  #served<T extends object>(item: T | null, there: T | null | undefined): T | null {
    return this.#isWhole && there !== undefined && isAlike(item, there) ? there : item;
  }

  #leave({ history }: ServedPool): void {
    this.#left.push(history);
    this.#mayLeavePlaces = true;
  }

  /** What services say of TLS, and of the pools that they share. */
  *settleSteps(): Generator<void, void> {
    if (!this.#hasTlsChanged || !this.#hasTls) return;
    const keys = new Set<string>();
    const keyByPool = new Map<number, string>();
    const divided = new Set<number>();
    for (const [slot, service] of this.#services.entries()) {
      if (slot % smallStepCount === 0) yield;
      if (service === null) continue;
      const { poolIndex, tls } = service;
      const key = tls?.key ?? "";
      if (key !== "") keys.add(key);
      if ((keyByPool.get(poolIndex) ?? key) !== key) divided.add(poolIndex);
      keyByPool.set(poolIndex, key);
    }
    for (const [slot, pool] of this.#pools.entries()) {
      if (slot % smallStepCount === 0) yield;
      const hasOneTls = !divided.has(slot);
      if (pool !== null && pool.hasOneTls !== hasOneTls) this.#pools[slot] = { ...pool, hasOneTls };
    }
    for (const key of this.#tlsKeys) this.#mayLeavePlaces ||= !keys.has(key);
    this.#tlsKeys = keys;
  }

  finish(): EditedParts {
    return { routes: this.#routes.finish(), services: this.#services, pools: this.#pools, tlsKeys: this.#tlsKeys };
  }

  /** To be taken when what was made is served: what is known of routes, endpoints and pools goes with them. */
  *forgetSteps(): Generator<void, SnapshotSwap> {
    let count = 0;
    for (const { config, history } of this.#changedPools) {
      history.budget.configure(config.resilience.budget);
      if (++count % smallStepCount === 0) yield;
    }
    for (const { history } of this.#known.values()) this.#left.push(history);
    for (const history of this.#left) {
      history.close();
      if (++count % smallStepCount === 0) yield;
    }
    if (this.#before !== null) yield* this.#forgetRouteSteps();
    return { mayLeavePlaces: this.#mayLeavePlaces };
  }

  *#forgetRouteSteps(): Generator<void, void> {
    const ids = this.#routeIds;
    const isThere = this.#isWhole ? ids : { has: (id: string) => !ids.has(id) };
    // Of few pools anything is known: only those that this worker has sent requests to.
    const mayBeLess = !this.#isWhole && ids.size === 0 ? this.#changedPools : this.#pools;
    for (const [i, pool] of mayBeLess.entries()) {
      if (i % smallStepCount === 0) yield;
      if (pool === null || pool.history.routeCount === 0) continue;
      pool.history.retainOnly(isThere, new Set(pool.set.endpoints.map(({ row }) => row)));
    }
  }
}

function put<T>(slots: (T | null)[], slot: number, item: T | null): void {
  while (slots.length < slot) slots.push(null);
  slots[slot] = item;
}

/** Rings are made anew whenever endpoints change, and come in memory of which nobody can tell that it is the same. */
function isSamePool(pool: ServedPool, config: PoolConfig, set: EndpointSet | null): boolean {
  if (set !== null && (set.rings !== null || pool.set.rings !== null)) return false;
  return isAlike(pool.config, config) && (set === null || isAlike(pool.set, set));
}

/** Whether every endpoint of the former set has its place in the other one. */
function hasAllPlaces(set: EndpointSet, former: EndpointSet): boolean {
  if (set === former) return true;
  const rows = new Map(set.endpoints.map((endpoint) => [endpoint.row, endpoint]));
  return former.endpoints.every(({ row, address, port }) => {
    const endpoint = rows.get(row);
    return endpoint !== undefined && endpoint.address === address && endpoint.port === port;
  });
}

function unresolved(poolKey: string): EndpointSet {
  return { poolKey, endpoints: [], emptyBecause: "unresolved", rings: null };
}
