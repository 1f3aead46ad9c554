import { isIP } from "node:net";
import type { OutlierConfig } from "../config/resilience-config.ts";
import type { EndpointConfig, EndpointSet } from "../config/worker-config.ts";
import { inSlices } from "../steps/in-slices.ts";
import type { EndpointRows } from "./endpoint-rows.ts";
import { hostHeaderFor } from "./host-header.ts";
import type { NamedEndpoint } from "./name-entry.ts";
import type { NameUse } from "./name-resolver-options.ts";
import type { PoolMember, PoolPlan } from "./pool-plan.ts";
import { PoolRings } from "./pool-rings.ts";
import { type NameResolver, nameKey } from "./resolve-name.ts";
import { stickyKey } from "./sticky-key.ts";
import type { Timers } from "./timers.ts";
import { addShares, lowestTerms, type WeightShare, wholeWeights } from "./whole-weights.ts";

export interface EndpointResolverOptions {
  readonly names: NameResolver;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  /** Where the node runs, as targets name it; null = it does not say. */
  readonly zone: string | null;
  /** How long a config waits for names that are new; it then goes out with what is known. */
  readonly firstAnswersWaitMs: number;
  /** Endpoints of all pools together. */
  readonly endpointsMax: number;
  /** This pool, which is not in use, will be with the next `onUse`, unless its names change or what is prepared is not used. */
  readonly onPrepared?: (pool: PoolPlan, set: EndpointSet) => void;
  /** These are in use from now on; called before workers are told. */
  readonly onUse?: (pools: readonly PoolPlan[], sets: ReadonlyMap<string, EndpointSet>) => void;
  /** Names resolve differently: what the workers are to be sent. */
  readonly onSets: (sets: readonly EndpointSet[]) => void;
  /** Names resolve to more than the node takes; the pool keeps the endpoints that it had. */
  readonly onOverflow: (poolName: string) => void;
  /** Resolves once every worker has taken in all that it was sent until now. */
  readonly caughtUp: () => Promise<void>;
}

/** What the pools of a config have become. */
export interface ResolvedPools {
  /** One per pool, in their order. */
  readonly poolRows: readonly number[];
  readonly sets: readonly EndpointSet[];
  /** Those among them that were not made by `prepare`, or before. */
  readonly late: readonly EndpointSet[];
}

/** So long at most, and a step, endpoints and rings are made ready in one go. */
const SLICE_MS = 2;
/** Names that change together (a hosts file, an answer to many) make one message. */
const CHANGE_DELAY_MS = 20;

/**
 * Turns the members of pools into endpoints and keeps them current while names resolve differently.
 * The pools last passed to `use` are the ones that workers know.
 */
export class EndpointResolver {
  readonly #options: EndpointResolverOptions;
  #pools: readonly PoolPlan[] = [];
  readonly #sets = new Map<string, EndpointSet>();
  /** Of the pools in use, by their keys. */
  readonly #plans = new Map<string, PoolPlan>();
  /** Made for pools that are about to be used. */
  readonly #prepared = new Map<string, { readonly pool: PoolPlan; readonly set: EndpointSet }>();
  #endpointCount = 0;
  readonly #changedNames = new Set<string>();
  #sequence = 0;
  #cancelChange = () => {};
  readonly #rings = new PoolRings();

  constructor(options: EndpointResolverOptions) {
    this.#options = options;
  }

  /**
   * Begins to resolve the pools' names beside those in use, and waits a little for the new ones. Then makes what takes
   * long, so that `use` need not: the endpoints of pools that are new or changed, and their rings.
   */
  async prepare(pools: readonly PoolPlan[]): Promise<void> {
    const changed = pools.filter((pool) => this.#plans.get(pool.key) !== pool);
    if (hasNames(changed)) this.#options.names.keep([...hostsOf(this.#pools), ...hostsOf(changed)]);
    await this.#options.names.firstAnswers(this.#options.firstAnswersWaitMs);
    this.#prepared.clear();
    await inSlices(this.#prepareSteps(changed), SLICE_MS);
  }

  *#prepareSteps(pools: readonly PoolPlan[]): Generator<void, void> {
    for (const pool of pools) {
      // What has no row is refused by `use`, which also gives back the rows that it does not need.
      const set = this.#options.rows.poolRow(pool.key) === null ? null : this.#resolve(pool);
      if (set === null) return;
      const rings = yield* this.#rings.ringSteps(pool, set.endpoints);
      // A name that changed while they were made may have been told already, and would not be looked at again by `use`.
      if (rings === null || isSameSet(set, this.#resolve(pool))) {
        const prepared = { pool, set: { ...set, rings } };
        this.#prepared.set(pool.key, prepared);
        if (!this.#plans.has(pool.key)) this.#options.onPrepared?.(pool, prepared.set);
      }
      yield;
    }
  }

  /** The endpoints of a pool in use, as workers were last told. */
  setOf(poolKey: string): EndpointSet | undefined {
    return this.#sets.get(poolKey);
  }

  /** As they will be told, by what is known now, when `use` follows `prepare`. */
  preparedSetOf(poolKey: string): EndpointSet | undefined {
    return this.#prepared.get(poolKey)?.set ?? this.#sets.get(poolKey);
  }

  /** Its row in the shared table, a new one where it has none; null when the table is full. */
  poolRow(poolKey: string): number | null {
    return this.#options.rows.poolRow(poolKey);
  }

  /**
   * Makes these pools the ones in use. The caller sends them to every worker in the same turn, so that
   * no later change can overtake it. A plan that is in use already, the same object, stays as it is.
   * Returns null, and changes nothing that workers see, when there would be more endpoints than the node takes.
   */
  use(pools: readonly PoolPlan[]): ResolvedPools | null {
    const poolRows: number[] = [];
    const sets: EndpointSet[] = [];
    const late: EndpointSet[] = [];
    const changed: PoolPlan[] = [];
    let endpointCount = 0;
    for (const pool of pools) {
      const isSame = this.#plans.get(pool.key) === pool;
      const poolRow = this.#options.rows.poolRow(pool.key);
      const known = isSame ? this.#sets.get(pool.key) : this.#preparedSet(pool);
      const made = known ?? (poolRow === null ? null : this.#resolve(pool));
      endpointCount += made?.endpoints.length ?? 0;
      if (poolRow === null || made === null || endpointCount > this.#options.endpointsMax) {
        this.#prepared.clear();
        this.#options.names.keep(hostsOf(this.#pools));
        // Nothing new was sent, but the rows just taken are named by no message: they go the way of the others.
        this.#noteSent();
        this.#options.onUse?.(this.#pools, this.#sets);
        return null;
      }
      const set = known ?? { ...made, rings: this.#rings.ringsOf(pool, made.endpoints) };
      if (known === undefined) late.push(set);
      if (!isSame) changed.push(pool);
      poolRows.push(poolRow);
      sets.push(set);
    }
    this.#endpointCount = endpointCount;
    this.#replace(pools, sets, changed);
    this.#noteSent();
    this.#options.onUse?.(pools, this.#sets);
    return { poolRows, sets, late };
  }

  #replace(pools: readonly PoolPlan[], sets: readonly EndpointSet[], changed: readonly PoolPlan[]): void {
    const former = this.#pools;
    const wasNamed = hasNames(changed.flatMap(({ key }) => this.#plans.get(key) ?? []));
    this.#pools = pools;
    this.#prepared.clear();
    for (const [i, pool] of pools.entries()) {
      if (this.#plans.get(pool.key) === pool) continue;
      this.#plans.set(pool.key, pool);
      this.#sets.set(pool.key, sets[i]!);
    }
    const gone = this.#plans.size === pools.length ? [] : this.#forgetAllBut(pools, former);
    if (wasNamed || hasNames(changed) || hasNames(gone)) this.#options.names.keep(hostsOf(pools));
    if (changed.length + gone.length > 0) this.#rings.retainOnly(pools);
  }

  #forgetAllBut(pools: readonly PoolPlan[], former: readonly PoolPlan[]): PoolPlan[] {
    const keys = new Set(pools.map(({ key }) => key));
    const gone = former.filter(({ key }) => !keys.has(key));
    for (const { key } of gone) {
      this.#plans.delete(key);
      this.#sets.delete(key);
    }
    return gone;
  }

  /** What `prepare` made of it, unless one of its names has come to stand for something else since. */
  #preparedSet(pool: PoolPlan): EndpointSet | undefined {
    const set = this.#prepared.get(pool.key)?.set;
    if (set === undefined || this.#changedNames.size === 0) return set;
    return this.#hasChanged(pool) ? undefined : set;
  }

  /** The endpoints of the pools in use, as the workers were last told. */
  currentSets(): readonly EndpointSet[] {
    return [...this.#sets.values()];
  }

  /** When the endpoints of a pool in use are taken out, and for how long; null for one that is not in use. */
  outlierOf(poolKey: string): OutlierConfig | null {
    return this.#plans.get(poolKey)?.resilience.outlier ?? null;
  }

  /** A name's addresses have changed; to be connected to the name resolver's `onChange`. */
  nameChanged(name: string): void {
    if (this.#changedNames.size === 0) {
      this.#cancelChange = this.#options.timers.after(CHANGE_DELAY_MS, () => this.#sendWithRings());
    }
    this.#changedNames.add(name);
  }

  close(): void {
    this.#cancelChange();
    this.#changedNames.clear();
  }

  /** Rings that have to be made are made before, in slices; what names come to stand for meanwhile is sent with them. */
  #sendWithRings(): void {
    const missing = this.#pools.filter((pool) => {
      if (pool.algorithm !== "consistent-hashing" || !this.#hasChanged(pool)) return false;
      return !this.#rings.hasRings(pool, this.#resolve(pool)?.endpoints ?? []);
    });
    if (missing.length === 0) this.#sendChanges();
    else void inSlices(this.#ringSteps(missing), SLICE_MS).then(() => this.#sendChanges());
  }

  *#ringSteps(pools: readonly PoolPlan[]): Generator<void, void> {
    for (const pool of pools) {
      yield* this.#rings.ringSteps(pool, this.#resolve(pool)?.endpoints ?? []);
      yield;
    }
  }

  /** Whether one of its names has come to stand for something else since workers were told. */
  #hasChanged({ members }: PoolPlan): boolean {
    return members.some(({ host }) => this.#changedNames.has(nameKey(host)));
  }

  #sendChanges(): void {
    const changed: EndpointSet[] = [];
    for (const pool of this.#pools) {
      if (!this.#hasChanged(pool)) continue;
      const former = this.#sets.get(pool.key)!;
      const set = this.#resolve(pool);
      const growth = (set?.endpoints.length ?? 0) - former.endpoints.length;
      if (set === null || this.#endpointCount + growth > this.#options.endpointsMax) {
        this.#options.onOverflow(pool.name);
        continue;
      }
      if (isSameSet(former, set)) continue;
      this.#endpointCount += growth;
      const setWithRings = { ...set, rings: this.#rings.ringsOf(pool, set.endpoints) };
      this.#sets.set(pool.key, setWithRings);
      changed.push(setWithRings);
    }
    for (const [key, { pool }] of this.#prepared) if (this.#hasChanged(pool)) this.#prepared.delete(key);
    this.#changedNames.clear();
    if (changed.length === 0) return;
    this.#noteSent();
    this.#options.onUse?.(this.#pools, this.#sets);
    this.#options.onSets(changed);
  }

  /** The endpoints without their rings. Null when the table has no row left. */
  #resolve(pool: PoolPlan): EndpointSet | null {
    const weighed = new Map<number, WeighedEndpoint>();
    for (const member of pool.members) {
      const named = this.#options.names.endpointsOf(member.host);
      for (const [i, share] of sharesOf(member, named, pool.weightBasis).entries()) {
        const { address, serviceTarget, port = null } = named[i]!;
        const name = pool.usesSrvName ? serviceTarget : null;
        const place = { address, port: port ?? member.port };
        const { targetId, host, priority, maxInFlight } = member;
        const identity = { poolKey: pool.key, host, name, ...place };
        const row = this.#options.rows.endpointRow({ targetId, ...identity });
        if (row === null) return null;
        const hostHeader = hostHeaderFor(name ?? member.host, place.port, member.impliedPort);
        const key = pool.algorithm === "sticky-sessions" ? stickyKey(identity) : "";
        const isLocal = this.#isLocal(pool, member);
        const endpoint = { row, ...place, priority, isLocal, maxInFlight, stickyKey: key, hostHeader };
        const twin = weighed.get(row);
        weighed.set(row, twin === undefined ? { endpoint, share } : bothTwins(twin, { endpoint, share }));
      }
    }
    const weights = wholeWeights([...weighed.values()].map(({ share }) => share));
    const endpoints = [...weighed.values()].map(({ endpoint }, i) => ({ ...endpoint, weight: weights[i]! }));
    const emptyBecause = endpoints.length > 0 ? null : pool.members.length === 0 ? "no_targets" : "unresolved";
    return { poolKey: pool.key, endpoints, emptyBecause, rings: null };
  }

  /** Who does not say where it is, node or target, makes no difference. */
  #isLocal(pool: PoolPlan, { zone }: PoolMember): boolean {
    const own = this.#options.zone;
    return pool.balancing.zones === null || own === null || zone === null || zone === own;
  }

  /** Lets go of the rows that are named no more, as soon as every worker has been told. */
  #noteSent(): void {
    const { rows, timers, caughtUp } = this.#options;
    const sequence = ++this.#sequence;
    const namedRows = new Set<number>();
    for (const set of this.#sets.values()) for (const { row } of set.endpoints) namedRows.add(row);
    rows.sent(sequence, new Set(this.#sets.keys()), namedRows, timers.nowMs());
    rows.sweep(timers.nowMs());
    // In the next turn: the caller sends what `use` returned in this one.
    queueMicrotask(() => void caughtUp().then(() => rows.confirmed(sequence)));
  }
}

interface WeighedEndpoint {
  readonly endpoint: Omit<EndpointConfig, "weight">;
  readonly share: WeightShare;
}

/** Two members that lead to one endpoint: it has the better place of the two, and the lower limit. */
function bothTwins(first: WeighedEndpoint, second: WeighedEndpoint): WeighedEndpoint {
  const priority = Math.min(first.endpoint.priority, second.endpoint.priority);
  const isLocal = first.endpoint.isLocal || second.endpoint.isLocal;
  const limits = [first.endpoint.maxInFlight, second.endpoint.maxInFlight];
  const maxInFlight = limits.includes(0) ? Math.max(...limits) : Math.min(...limits);
  return {
    endpoint: { ...second.endpoint, priority, isLocal, maxInFlight },
    share: addShares(first.share, second.share),
  };
}

/** Whether any member is to be looked up. */
function hasNames(pools: readonly PoolPlan[]): boolean {
  return pools.some(({ members }) => members.some(({ host }) => isIP(host) === 0));
}

function* hostsOf(pools: readonly PoolPlan[]): Iterable<NameUse> {
  for (const pool of pools) yield* pool.members;
}

/**
 * What each endpoint of a member weighs. Source: Kong's way is per address, where each has the target's weight, and with SRV
 * records the record's.
 */
function sharesOf(
  { weight }: PoolMember,
  named: readonly NamedEndpoint[],
  basis: PoolPlan["weightBasis"],
): WeightShare[] {
  // One that gets no new sessions gets none whatever its records say.
  if (weight === 0) return named.map(() => ({ numerator: 0, denominator: 1 }));
  const own = named.map((one) => lowestTerms(one.weight ?? (basis === "per_address" ? weight : 1), one.sharedBy));
  if (basis === "per_address" || own.length === 0) return own;
  const { numerator, denominator } = own.reduce(addShares);
  return own.map((share) => lowestTerms(weight * share.numerator * denominator, share.denominator * numerator));
}

function isSameSet(a: EndpointSet, b: EndpointSet | null): boolean {
  return (
    b !== null &&
    a.emptyBecause === b.emptyBecause &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, i) => {
      const other = b.endpoints[i]!;
      return (
        endpoint.row === other.row &&
        endpoint.weight === other.weight &&
        endpoint.priority === other.priority &&
        endpoint.isLocal === other.isLocal &&
        endpoint.maxInFlight === other.maxInFlight &&
        endpoint.stickyKey === other.stickyKey
      );
    })
  );
}
