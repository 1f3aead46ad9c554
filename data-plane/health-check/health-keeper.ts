import { bringsBack } from "../config/health-check-config.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import type { HealthFlip } from "../health/check-counts.ts";
import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";
import type { PoolMember, PoolPlan } from "../upstream/pool-plan.ts";
import type { Timers } from "../upstream/timers.ts";
import { ActiveChecks, type CheckedEndpoint } from "./active-checks.ts";
import { EndpointHealth, type HealthView, type SeenEndpoint } from "./endpoint-health.ts";
import { clearChecks, HealthOverrides } from "./health-overrides.ts";
import type { SendProbe } from "./send-probe.ts";

export interface HealthKeeperOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly timers: Timers;
  readonly nowUnixMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly send: SendProbe;
  /** Probes under way at once, of all pools. */
  readonly probesMax: number;
  /** How a target's name was resolved, or why it was not. */
  readonly dnsOf: (host: string) => string;
  readonly onProbed: (isSuccess: boolean) => void;
  readonly onTransition: (view: HealthView) => void;
  /** Health checks took an endpoint out and cannot bring it back: it needs a trial; `recovered` follows if it passes. */
  readonly onPassiveUnhealthy: (endpointRow: number) => void;
  /** A person said that the endpoint is healthy. */
  readonly onForgiven: (endpointRow: number) => void;
}

/** Time between looks for what workers did without living to say so. */
const reconcileIntervalMs = 5_000;

/** A pool as it is served. */
interface ServedPool {
  readonly plan: PoolPlan;
  readonly endpoints: readonly EndpointRow[];
  readonly set: EndpointSet;
  /** What is told of it. */
  readonly seen: readonly SeenEndpoint[];
  /** The update that named it last. */
  round: number;
}

/**
 * The main thread's part of health: probes, what people decided, and why each endpoint is in or out. All that is known
 * outlives changes of the configuration; an endpoint that goes and comes back within minutes is known as it was.
 */
export class HealthKeeper {
  readonly endpoints: EndpointHealth;
  readonly #options: HealthKeeperOptions;
  readonly #checks: ActiveChecks;
  readonly #overrides: HealthOverrides;
  readonly #pools = new Map<string, ServedPool>();
  #round = 0;
  #cancelReconcile = () => {};

  constructor(options: HealthKeeperOptions) {
    const { table, timers, nowUnixMs, onForgiven } = options;
    this.#options = options;
    this.endpoints = new EndpointHealth(options);
    this.#checks = new ActiveChecks({
      ...options,
      onProbed: (endpoint, isSuccess) => {
        options.onProbed(isSuccess);
        this.endpoints.probed(endpoint, isSuccess);
      },
      onFlip: (endpoint, flip, reason) => this.#flipped(endpoint, flip, "active", reason),
    });
    this.#overrides = new HealthOverrides({
      table,
      timers,
      nowUnixMs,
      onDecided: (endpoint, reason) => this.endpoints.told(endpoint, "manual", reason),
      onForgiven: (endpoint) => {
        this.#checks.flipped(endpoint.row);
        onForgiven(endpoint.row);
      },
    });
    this.#reconcileLater();
  }

  /** Addresses with their checks, each of which is one prober. */
  get proberCount(): number {
    return this.#checks.proberCount;
  }

  /** The upstreams' pools in use. */
  get pools(): readonly { readonly plan: PoolPlan; readonly set: EndpointSet }[] {
    return [...this.#pools.values()].filter(({ plan }) => plan.isUpstream);
  }

  /**
   * A pool that will be in use with the next update, where there is nothing to judge of it yet: is told of from now on, so
   * that the update, which is one turn of the event loop, has nothing to do with it. One that the update does not name is
   * gone.
   */
  adopt(plan: PoolPlan, set: EndpointSet): void {
    if (this.#pools.has(plan.key) || plan.activeCheck !== null || plan.overrides.length > 0) return;
    const pool = this.#served(plan, set, this.#round);
    // One that comes back may be out, and has no row of its own before it is in use. Names without an address go by the
    // service alone, which may have another one in use.
    if (pool.seen.some(({ endpoint }) => endpoint === null)) return;
    if (pool.endpoints.length < set.endpoints.length || pool.endpoints.some((one) => this.endpoints.has(one))) return;
    this.#pools.set(plan.key, pool);
    this.endpoints.change([], pool.seen);
  }

  /**
   * These pools and endpoints are in use from now on: before workers are told, so that none is served unjudged. One whose
   * plan and set are the same objects as before stays as it is.
   */
  update(plans: readonly PoolPlan[], sets: ReadonlyMap<string, EndpointSet>): void {
    const round = ++this.#round;
    const [changed, gone]: [ServedPool[], ServedPool[]] = [[], []];
    for (const plan of plans) {
      const set = sets.get(plan.key);
      if (set === undefined) continue;
      const former = this.#pools.get(plan.key);
      if (former !== undefined && former.plan === plan && former.set === set) {
        former.round = round;
        continue;
      }
      if (former !== undefined) gone.push(former);
      const pool = this.#served(plan, set, round);
      this.#pools.set(plan.key, pool);
      changed.push(pool);
    }
    for (const [key, pool] of this.#pools) {
      if (pool.round === round) continue;
      gone.push(pool);
      this.#pools.delete(key);
    }
    this.#replace(gone, changed);
  }

  #served(plan: PoolPlan, set: EndpointSet, round: number): ServedPool {
    const endpoints = set.endpoints.flatMap(({ row }) => this.#options.rows.endpointAt(row) ?? []);
    const seen: SeenEndpoint[] = [];
    this.#seeIn(plan, set, endpoints, seen);
    return { plan, endpoints, set, seen, round };
  }

  #replace(gone: readonly ServedPool[], changed: readonly ServedPool[]): void {
    const strangers = new Set<EndpointRow>();
    const checked: CheckedEndpoint[] = [];
    for (const { plan, endpoints } of changed) {
      if (!plan.isUpstream) continue;
      for (const endpoint of endpoints) {
        if (!this.endpoints.has(endpoint)) strangers.add(endpoint);
        if (plan.activeCheck !== null) checked.push({ endpoint, check: plan.activeCheck });
      }
    }
    this.endpoints.change(
      gone.flatMap(({ seen }) => seen),
      changed.flatMap(({ seen }) => seen),
    );
    for (const pool of changed) if (pool.plan.isUpstream) this.#judgeAnew(pool, strangers);
    const formerlyChecked = gone.filter(({ plan }) => plan.activeCheck !== null);
    const goneRows = formerlyChecked.flatMap(({ endpoints }) => endpoints.map(({ row }) => row));
    if (checked.length + goneRows.length > 0) this.#checks.change(goneRows, checked);
    const isDecided = ({ plan }: ServedPool) => plan.overrides.length > 0;
    if (!changed.some(isDecided) && !gone.some(isDecided)) return;
    this.#overrides.update(
      [...this.#pools.values()]
        .filter(isDecided)
        .map(({ plan, endpoints }) => ({ endpoints, overrides: plan.overrides })),
    );
  }

  /** A worker's passive checks put an endpoint in or out. */
  flippedByTraffic(row: number, flip: HealthFlip, cause: string): void {
    const endpoint = this.#options.rows.endpointAt(row);
    if (endpoint === null) return;
    this.#checks.flipped(row);
    const reason =
      flip === "unhealthy" ? `requests sent there came to nothing: ${cause}` : "requests are answered again";
    this.#flipped(endpoint, flip, "passive", reason);
  }

  /** What it did to traffic took the endpoint out. */
  ejected(endpoint: EndpointRow, cause: string): void {
    this.endpoints.told(endpoint, "outlier", `requests sent there came to nothing: ${cause}`);
  }

  /** An endpoint that was out has been tried, and answers. */
  readmitted(endpoint: EndpointRow): void {
    this.endpoints.told(endpoint, "outlier", "it answers again");
    const check = this.#pools.get(endpoint.poolKey)?.plan.activeCheck ?? null;
    if (!bringsBack(check)) this.recovered(endpoint.row);
  }

  /** An endpoint that health checks took out has passed a trial. */
  recovered(row: number): void {
    const endpoint = this.#options.rows.endpointAt(row);
    if (endpoint === null || !clearChecks(this.#options.table, endpoint)) return;
    this.#checks.flipped(row);
    this.endpoints.told(endpoint, "passive", "a trial went well");
  }

  close(): void {
    this.#cancelReconcile();
    this.#checks.close();
    this.#overrides.close();
  }

  #flipped(endpoint: EndpointRow, flip: HealthFlip, source: "active" | "passive", reason: string): void {
    this.endpoints.told(endpoint, source, reason);
    if (flip === "unhealthy") this.#seekWayBack(endpoint);
  }

  #seekWayBack({ row, poolKey }: EndpointRow): void {
    const check = this.#pools.get(poolKey)?.plan.activeCheck ?? null;
    if (!bringsBack(check)) this.#options.onPassiveUnhealthy(row);
  }

  /** What the configuration's change means for endpoints that are out, and for those that are new. */
  #judgeAnew({ plan, endpoints }: ServedPool, strangers: ReadonlySet<EndpointRow>): void {
    const { table } = this.#options;
    for (const endpoint of endpoints) {
      const { poolRow, row } = endpoint;
      if (strangers.has(endpoint) && plan.activeCheck?.startsOut === true) {
        table.setFlag(poolRow, row, "unhealthy", true);
        this.endpoints.told(endpoint, "active", "no probe has succeeded yet");
      }
      if (!table.has(row, "unhealthy")) continue;
      if (plan.activeCheck !== null || plan.passive !== null) {
        this.#seekWayBack(endpoint);
      } else if (clearChecks(table, endpoint)) {
        this.endpoints.told(endpoint, "active", "no health check is configured any more");
      }
    }
  }

  /** Appends what is to be told of a pool: its endpoints, and its targets without any. */
  #seeIn(plan: PoolPlan, set: EndpointSet, endpoints: readonly EndpointRow[], seen: SeenEndpoint[]): void {
    const weights = new Map(set.endpoints.map(({ row, weight }) => [row, weight]));
    const members = new Map(plan.members.map((member) => [member.targetId, member]));
    const owners = ownersOf(plan);
    const isJudged = isChecked(plan);
    const see = (
      endpoint: EndpointRow | null,
      { targetId, host, port }: PoolMember,
      address: string,
      weight: number,
    ) => {
      const target = { targetId, target: placeText(host, port), dns: this.#options.dnsOf(host) };
      const facts = { ...target, address, weight, isChecked: isJudged };
      for (const owner of owners) seen.push({ endpoint, facts: { ...owner, ...facts } });
    };
    const resolved = new Set<string>();
    for (const endpoint of endpoints) {
      const member = members.get(endpoint.targetId);
      if (member === undefined) continue;
      resolved.add(endpoint.targetId);
      const { address, port, row } = endpoint;
      see(endpoint, member, placeText(address, port), weights.get(row) ?? 0);
    }
    for (const member of plan.members) {
      if (!resolved.has(member.targetId)) see(null, member, "", member.weight);
    }
  }

  #reconcileLater(): void {
    this.#cancelReconcile = this.#options.timers.after(reconcileIntervalMs, () => {
      this.#reconcile();
      this.#reconcileLater();
    });
  }

  /** A worker may die between taking an endpoint out and saying so. */
  #reconcile(): void {
    const { table } = this.#options;
    for (const endpoint of this.endpoints.untold()) {
      const isByChecks = table.has(endpoint.row, "unhealthy");
      this.#checks.flipped(endpoint.row);
      this.endpoints.told(
        endpoint,
        isByChecks ? "passive" : "outlier",
        "found so: a worker ended before it could say why",
      );
      if (isByChecks) this.#seekWayBack(endpoint);
    }
  }
}

/** Whose endpoints they are: an upstream's, or those of all services with this host. */
function ownersOf(plan: PoolPlan): readonly Pick<HealthView, "upstreamId" | "upstreamName" | "serviceId">[] {
  if (plan.isUpstream) {
    return [{ upstreamId: plan.key.slice("upstream:".length), upstreamName: plan.name, serviceId: "" }];
  }
  return (plan.serviceIds ?? []).map((serviceId) => ({ upstreamId: "", upstreamName: "", serviceId }));
}

/** By Kong's rules; what is on by default is no check. */
function isChecked({ activeCheck, passive }: PoolPlan): boolean {
  if (activeCheck !== null) return true;
  if (passive === null) return false;
  const { httpFailures, tcpFailures, timeouts } = passive.thresholds;
  return httpFailures + tcpFailures + timeouts > 0;
}

function placeText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
