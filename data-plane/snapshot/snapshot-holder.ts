import type { EndpointState } from "../balance/endpoint-state.ts";
import { createPicker, type Picker } from "../balance/picker.ts";
import type { EndpointSet, PoolConfig, WorkerConfig } from "../config/worker-config.ts";
import { KeptWaits } from "../health/kept-waits.ts";
import { PoolHistory } from "../health/pool-history.ts";
import { buildRouteTable, type RouteTable } from "../route/route-table.ts";
import { ServerNames } from "../tls/server-names.ts";

/** What a request reads, from its start to its end: never changed, only replaced as a whole. */
export interface ServedSnapshot {
  readonly publication: number;
  readonly revision: number;
  readonly routes: RouteTable;
  /** By ServiceConfig.poolIndex. */
  readonly pools: readonly ServedPool[];
  /** Of the services' TLS settings. */
  readonly tlsKeys: ReadonlySet<string>;
  readonly serverNames: ServerNames;
}

export interface ServedPool {
  readonly config: PoolConfig;
  readonly set: EndpointSet;
  readonly picker: Picker;
  /** Whether only so many requests may be under way: in the pool, or at one of its endpoints. */
  readonly isLimited: boolean;
  /** Whether requests are tied to endpoints, by what they hash to or by a cookie. */
  readonly hasAffinity: boolean;
  /** Whether all services that share the pool speak to its endpoints under the same settings of TLS, or all without. */
  readonly hasOneTls: boolean;
  /** Outlives snapshots for as long as they name the pool. */
  readonly history: PoolHistory;
}

/**
 * The snapshot that a worker serves. A new one is built beside it and takes its place in one assignment, so a
 * request sees the state before or the state after, and a config that cannot be built changes nothing.
 */
export class SnapshotHolder {
  readonly #state: EndpointState;
  /** Share of the node's traffic that this thread carries. */
  readonly #share: number;
  readonly #kept = new KeptWaits();
  #current: ServedSnapshot | null = null;

  /** @param workerCount threads that carry the node's traffic */
  constructor(state: EndpointState, workerCount: number) {
    this.#state = state;
    this.#share = 1 / workerCount;
  }

  /** null until the first config. */
  get current(): ServedSnapshot | null {
    return this.#current;
  }

  /** Serves a config; a pool without a set among `sets` keeps the endpoints it has. Throws when it cannot be built. */
  apply(config: WorkerConfig, sets: readonly EndpointSet[]): void {
    const known = new Map<string, ServedPool>();
    for (const pool of this.#current?.pools ?? []) known.set(pool.config.key, pool);
    const sent = byKey(sets);
    const divided = poolsWithSeveralTls(config);
    this.#current = {
      publication: config.publication,
      revision: config.revision,
      routes: buildRouteTable(config),
      tlsKeys: new Set(config.services.flatMap(({ tls }) => (tls === null ? [] : [tls.key]))),
      serverNames: new ServerNames(config.tls),
      pools: config.pools.map((pool, index) =>
        this.#servedPool(
          pool,
          sent.get(pool.key) ?? known.get(pool.key)?.set ?? unresolved(pool.key),
          known.get(pool.key)?.history ?? null,
          !divided.has(index),
        ),
      ),
    };
    for (const { config: pool } of this.#current.pools) known.delete(pool.key);
    for (const { history } of known.values()) history.close();
    this.#forgetFormer(config);
  }

  /** Serves other endpoints under the same config. Sets of pools that it does not have are ignored. */
  applyEndpoints(sets: readonly EndpointSet[]): void {
    const current = this.#current;
    if (current === null) return;
    const sent = byKey(sets);
    this.#current = {
      ...current,
      pools: current.pools.map((pool) => {
        const set = sent.get(pool.config.key);
        return set === undefined ? pool : this.#servedPool(pool.config, set, pool.history, pool.hasOneTls);
      }),
    };
  }

  #servedPool(config: PoolConfig, set: EndpointSet, known: PoolHistory | null, hasOneTls: boolean): ServedPool {
    known?.budget.configure(config.resilience.budget);
    const history = known ?? new PoolHistory(config.resilience, this.#share, this.#kept);
    const { inFlight, hash, sticky } = config.balancing;
    return {
      config,
      set,
      picker: createPicker(config, set, this.#state),
      isLimited: inFlight !== null || set.endpoints.some(({ maxInFlight }) => maxInFlight > 0),
      hasAffinity: hash !== null || sticky !== null,
      hasOneTls,
      history,
    };
  }

  /** Routes and endpoints come and go without a trace. */
  #forgetFormer({ routes }: WorkerConfig): void {
    // A large state has few pools that this worker has sent anything to, and often none.
    const used = this.#current!.pools.filter(({ history }) => history.routeCount > 0);
    if (used.length === 0) return;
    const routeIds = new Set(routes.map(({ id }) => id));
    for (const { set, history } of used) history.retainOnly(routeIds, new Set(set.endpoints.map(({ row }) => row)));
  }
}

/** By index: pools whose services differ in how they speak to endpoints. */
function poolsWithSeveralTls({ services }: WorkerConfig): ReadonlySet<number> {
  const keys = new Map<number, string>();
  const divided = new Set<number>();
  for (const { poolIndex, tls } of services) {
    const key = tls?.key ?? "";
    const other = keys.get(poolIndex);
    if (other === undefined) keys.set(poolIndex, key);
    else if (other !== key) divided.add(poolIndex);
  }
  return divided;
}

function byKey(sets: readonly EndpointSet[]): Map<string, EndpointSet> {
  return new Map(sets.map((set) => [set.poolKey, set]));
}

function unresolved(poolKey: string): EndpointSet {
  return { poolKey, endpoints: [], emptyBecause: "unresolved", rings: null };
}
