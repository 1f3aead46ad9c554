import type { EndpointConfig, EndpointSet } from "../config/worker-config.ts";
import type { EndpointRows } from "./endpoint-rows.ts";
import { canonicalName } from "./hosts-file.ts";
import type { PoolPlan } from "./pool-plan.ts";
import type { NameResolver } from "./resolve-name.ts";
import type { Timers } from "./timers.ts";

export interface EndpointResolverOptions {
  readonly names: NameResolver;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  /** How long a config waits for names that are new; it then goes out with what is known. */
  readonly firstAnswersWaitMs: number;
  /** Endpoints of all pools together. */
  readonly endpointsMax: number;
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
}

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
  #endpointCount = 0;
  readonly #changedNames = new Set<string>();
  #sequence = 0;
  #cancelChange = () => {};

  constructor(options: EndpointResolverOptions) {
    this.#options = options;
  }

  /** Begins to resolve the pools' names beside those in use, and waits a little for the new ones. */
  async prepare(pools: readonly PoolPlan[]): Promise<void> {
    this.#options.names.keep([...hostsOf(this.#pools), ...hostsOf(pools)]);
    await this.#options.names.firstAnswers(this.#options.firstAnswersWaitMs);
  }

  /**
   * Makes these pools the ones in use. The caller sends the result to every worker in the same turn, so that
   * no later change can overtake it.
   * Returns null, and changes nothing that workers see, when there would be more endpoints than the node takes.
   */
  use(pools: readonly PoolPlan[]): ResolvedPools | null {
    const poolRows: number[] = [];
    const sets: EndpointSet[] = [];
    let endpointCount = 0;
    for (const pool of pools) {
      const poolRow = this.#options.rows.poolRow(pool.key);
      const set = poolRow === null ? null : this.#resolve(pool);
      endpointCount += set?.endpoints.length ?? 0;
      if (poolRow === null || set === null || endpointCount > this.#options.endpointsMax) {
        this.#options.names.keep(hostsOf(this.#pools));
        // Nothing new was sent, but the rows just taken are named by no message: they go the way of the others.
        this.#noteSent();
        return null;
      }
      poolRows.push(poolRow);
      sets.push(set);
    }
    this.#pools = pools;
    this.#endpointCount = endpointCount;
    this.#sets.clear();
    for (const set of sets) this.#sets.set(set.poolKey, set);
    this.#options.names.keep(hostsOf(pools));
    this.#noteSent();
    this.#options.onUse?.(pools, this.#sets);
    return { poolRows, sets };
  }

  /** The endpoints of the pools in use, as the workers were last told. */
  currentSets(): readonly EndpointSet[] {
    return [...this.#sets.values()];
  }

  /** A name's addresses have changed; to be connected to the name resolver's `onChange`. */
  nameChanged(name: string): void {
    if (this.#changedNames.size === 0) {
      this.#cancelChange = this.#options.timers.after(CHANGE_DELAY_MS, () => this.#sendChanges());
    }
    this.#changedNames.add(name);
  }

  close(): void {
    this.#cancelChange();
    this.#changedNames.clear();
  }

  #sendChanges(): void {
    const changed: EndpointSet[] = [];
    for (const pool of this.#pools) {
      if (!pool.members.some(({ host }) => this.#changedNames.has(canonicalName(host)))) continue;
      const former = this.#sets.get(pool.key)!;
      const set = this.#resolve(pool);
      const growth = (set?.endpoints.length ?? 0) - former.endpoints.length;
      if (set === null || this.#endpointCount + growth > this.#options.endpointsMax) {
        this.#options.onOverflow(pool.name);
        continue;
      }
      if (isSameSet(former, set)) continue;
      this.#endpointCount += growth;
      this.#sets.set(pool.key, set);
      changed.push(set);
    }
    this.#changedNames.clear();
    if (changed.length === 0) return;
    this.#noteSent();
    this.#options.onUse?.(this.#pools, this.#sets);
    this.#options.onSets(changed);
  }

  /** Null when the table has no row left. */
  #resolve(pool: PoolPlan): EndpointSet | null {
    const endpoints = new Map<number, EndpointConfig>();
    for (const { targetId, host, port, weight, hostHeader } of pool.members) {
      for (const address of this.#options.names.addressesOf(host)) {
        const row = this.#options.rows.endpointRow({ targetId, poolKey: pool.key, host, address, port });
        if (row === null) return null;
        const twin = endpoints.get(row)?.weight ?? 0;
        endpoints.set(row, { row, address, port, weight: Math.min(weight + twin, 65_535), hostHeader });
      }
    }
    const emptyBecause = endpoints.size > 0 ? null : pool.members.length === 0 ? "no_targets" : "unresolved";
    return { poolKey: pool.key, endpoints: [...endpoints.values()], emptyBecause };
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

function* hostsOf(pools: readonly PoolPlan[]): Iterable<string> {
  for (const pool of pools) for (const member of pool.members) yield member.host;
}

function isSameSet(a: EndpointSet, b: EndpointSet): boolean {
  return (
    a.emptyBecause === b.emptyBecause &&
    a.endpoints.length === b.endpoints.length &&
    a.endpoints.every((endpoint, i) => {
      const other = b.endpoints[i]!;
      return endpoint.row === other.row && endpoint.weight === other.weight;
    })
  );
}
