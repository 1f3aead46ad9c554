import type { HealthOverride } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import type { Target } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import type { Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { type Excess, type HardLimits, targetsExcess } from "../../proto/hard-limits.ts";
import type { HealthOverridePlan, PoolMember, PoolPlan } from "../upstream/pool-plan.ts";
import { CheckCompilation } from "./compile-checks.ts";
import { compileHealthOverride } from "./compile-health-override.ts";
import type { TlsCompilation } from "./compile-tls.ts";
import { compileTarget, compileUpstream, type TargetTerms, targetTerms } from "./compile-upstream.ts";
import { type Compiled, dangling, invalid } from "./entity-problem.ts";
import { Dependents, type Journal, JournaledMap, SlotTable } from "./journal.ts";

/** Whether this node itself listens there. */
export type IsOwnPort = (host: string, port: number) => boolean;

/** A pool and its slot: ServiceConfig.poolIndex. */
export interface PlacedPool {
  readonly slot: number;
  readonly plan: PoolPlan;
}

/** An upstream without its targets. */
export interface UpstreamPlan {
  readonly plan: PoolPlan;
  readonly terms: TargetTerms;
  /** Id of the certificate that its targets are shown; "" for none. */
  readonly shownId: string;
}

/** A target as a member of its pool, with what decides its place there. */
export interface TargetPlan extends Pick<Target, "id" | "createdAt"> {
  readonly upstreamId: string;
  /** null: it gets no requests. */
  readonly member: PoolMember | null;
}

/**
 * The pools of a snapshot: upstreams with their targets and what people decided of them, and the hosts of services that
 * name no upstream. What is removed may be added anew, changed or not; then the pools that are changed are put together.
 */
export class PoolCompilation {
  readonly #tls: TlsCompilation;
  readonly #isOwnPort: IsOwnPort;
  readonly #checks = new CheckCompilation();
  readonly #upstreams: JournaledMap<string, UpstreamPlan>;
  readonly #idByName: JournaledMap<string, string>;
  readonly #targets: JournaledMap<string, TargetPlan>;
  readonly #overrides: JournaledMap<string, HealthOverridePlan>;
  /** Without the services' ids, by key. */
  readonly #hosts: JournaledMap<string, PoolPlan>;
  readonly #pools: JournaledMap<string, PlacedPool>;
  readonly #slots: SlotTable;
  readonly upstreamsByCertificate: Dependents;
  readonly targetsByUpstream: Dependents;
  readonly overridesByTarget: Dependents;
  /** Ids of services, by the key of the pool of their own host. */
  readonly #servicesByHost: Dependents;
  /** Keys of pools that are to be put together. */
  #changed = new Set<string>();

  constructor(tls: TlsCompilation, isOwnPort: IsOwnPort, journal: Journal) {
    this.#tls = tls;
    this.#isOwnPort = isOwnPort;
    this.#upstreams = new JournaledMap(journal);
    this.#idByName = new JournaledMap(journal);
    this.#targets = new JournaledMap(journal);
    this.#overrides = new JournaledMap(journal);
    this.#hosts = new JournaledMap(journal);
    this.#pools = new JournaledMap(journal);
    this.#slots = new SlotTable(journal);
    this.upstreamsByCertificate = new Dependents(journal);
    this.targetsByUpstream = new Dependents(journal);
    this.overridesByTarget = new Dependents(journal);
    this.#servicesByHost = new Dependents(journal);
    journal.onEnd(() => {
      this.#changed = new Set();
    });
  }

  upstream(id: string): UpstreamPlan | undefined {
    return this.#upstreams.get(id);
  }

  upstreamNamed(name: string): UpstreamPlan | undefined {
    return this.#upstreams.get(this.#idByName.get(name) ?? "");
  }

  target(id: string): TargetPlan | undefined {
    return this.#targets.get(id);
  }

  addUpstream(upstream: Upstream): Compiled<unknown> {
    const { id, name } = upstream;
    const shownId = upstream.clientCertificate?.id;
    const shown = shownId === undefined ? [] : this.#tls.pairs(shownId);
    if (shown === undefined) return dangling("client_certificate", `there is no certificate ${shownId}`);
    const checks = this.#checks.compile(upstream, shown);
    if (!checks.ok) return checks;
    const pool = compileUpstream(upstream, checks.value);
    if (!pool.ok) return pool;
    if (this.#idByName.has(name)) return invalid("name", "another upstream has it");
    this.#idByName.set(name, id);
    this.#upstreams.set(id, { plan: pool.value, terms: targetTerms(upstream), shownId: shownId ?? "" });
    if (shownId !== undefined) this.upstreamsByCertificate.add(shownId, id);
    this.#slots.take(pool.value.key);
    this.#changed.add(pool.value.key);
    return pool;
  }

  removeUpstream(id: string): void {
    const known = this.#upstreams.get(id);
    if (known === undefined) return;
    this.#upstreams.delete(id);
    this.#idByName.delete(known.plan.name);
    this.upstreamsByCertificate.remove(known.shownId, id);
    this.#changed.add(known.plan.key);
  }

  addTarget(target: Target): Compiled<unknown> {
    const upstreamId = target.upstream?.id ?? "";
    const upstream = this.#upstreams.get(upstreamId);
    if (upstreamId === "") return invalid("upstream", "is missing");
    if (upstream === undefined) return dangling("upstream", `there is no upstream ${upstreamId}`);
    const member = compileTarget(target, upstream.terms);
    if (!member.ok) return member;
    if (member.value !== null && this.#isOwnPort(member.value.host, member.value.port)) {
      return invalid("target", `${target.target} is a port of this node itself`);
    }
    const { id, createdAt } = target;
    this.#targets.set(id, { id, createdAt, upstreamId, member: member.value });
    this.targetsByUpstream.add(upstreamId, id);
    this.#changed.add(upstream.plan.key);
    return member;
  }

  removeTarget(id: string): void {
    const known = this.#targets.get(id);
    if (known === undefined) return;
    this.#targets.delete(id);
    this.targetsByUpstream.remove(known.upstreamId, id);
    this.#changed.add(`upstream:${known.upstreamId}`);
  }

  /** Of the upstreams that were changed and have too many targets: the first target that is one too many, by its id. */
  targetTooMany(
    limits: Pick<HardLimits, "targetsPerUpstreamMax">,
  ): { readonly id: string; readonly excess: Excess } | null {
    let first: { readonly id: string; readonly excess: Excess } | null = null;
    for (const key of this.#changed) {
      const upstreamId = key.slice("upstream:".length);
      const excess = targetsExcess(this.targetsByUpstream.countOf(upstreamId), limits);
      if (excess === null) continue;
      const id = [...this.targetsByUpstream.of(upstreamId)].sort()[limits.targetsPerUpstreamMax]!;
      if (first === null || id < first.id) first = { id, excess };
    }
    return first;
  }

  addOverride(override: HealthOverride): Compiled<unknown> {
    const plan = compileHealthOverride(override);
    if (!plan.ok) return plan;
    const { id, targetId } = plan.value;
    this.#overrides.set(id, plan.value);
    this.overridesByTarget.add(targetId, id);
    this.#changed.add(this.#poolKeyOf(targetId));
    return plan;
  }

  removeOverride(id: string): void {
    const known = this.#overrides.get(id);
    if (known === undefined) return;
    this.#overrides.delete(id);
    this.overridesByTarget.remove(known.targetId, id);
    this.#changed.add(this.#poolKeyOf(known.targetId));
  }

  #poolKeyOf(targetId: string): string {
    return `upstream:${this.#targets.get(targetId)?.upstreamId ?? ""}`;
  }

  /** The pool of a service's host: that of the upstream of this name, or one of its own. Gives its slot. */
  addHost(host: PoolPlan, serviceId: string): number {
    // An upstream's name is virtual: it is never looked up in DNS.
    const upstream = this.upstreamNamed(host.name);
    if (upstream !== undefined) return this.#slots.take(upstream.plan.key);
    this.#servicesByHost.add(host.key, serviceId);
    this.#hosts.set(host.key, host);
    this.#changed.add(host.key);
    return this.#slots.take(host.key);
  }

  /** @param hostKey of the host that the service had, wherever it led to */
  removeHost(hostKey: string, serviceId: string): void {
    this.#servicesByHost.remove(hostKey, serviceId);
    if (this.#hosts.has(hostKey)) this.#changed.add(hostKey);
  }

  /**
   * Puts together what was changed, in steps of one pool; slots with null are empty from now on.
   * All upstreams, also those that no service names yet: so a service that comes to name one finds it resolved.
   */
  *placeSteps(): Generator<void, ReadonlyMap<number, PoolPlan | null>> {
    const placed = new Map<number, PoolPlan | null>();
    for (const key of this.#changed) {
      yield;
      const slot = this.#slots.get(key);
      if (slot === -1) continue;
      const plan = this.#planOf(key);
      placed.set(slot, plan);
      if (plan !== null) {
        this.#pools.set(key, { slot, plan });
        continue;
      }
      this.#pools.delete(key);
      this.#hosts.delete(key);
      this.#slots.giveBack(key);
    }
    return placed;
  }

  #planOf(key: string): PoolPlan | null {
    const host = this.#hosts.get(key);
    if (host !== undefined) {
      const serviceIds = [...this.#servicesByHost.of(key)].sort();
      return serviceIds.length === 0 ? null : { ...host, serviceIds };
    }
    const id = key.slice("upstream:".length);
    const upstream = this.#upstreams.get(id);
    if (upstream === undefined) return null;
    const targets = Array.from(this.targetsByUpstream.of(id), (targetId) => this.#targets.get(targetId)!);
    const overrides = targets
      .flatMap((target) => Array.from(this.overridesByTarget.of(target.id), (one) => this.#overrides.get(one)!))
      .sort(byId);
    const members = targets.sort(byAge).flatMap(({ member }) => member ?? []);
    return { ...upstream.plan, members, overrides };
  }

  /** All that are put together, in no order. */
  pools(): readonly PlacedPool[] {
    return [...this.#pools.values()];
  }

  /** What was left out without harm, each in one sentence. @param overrideIds of all decisions */
  notes(overrideIds: Iterable<string>): string[] {
    const notes: string[] = [];
    for (const id of overrideIds) {
      const { targetId } = this.#overrides.get(id)!;
      if (!this.#targets.has(targetId)) notes.push(`health_override ${id}: there is no target ${targetId}`);
    }
    return notes;
  }
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}

/** Oldest first, so that round-robin goes in the order in which the targets were added, on every node. */
function byAge(a: TargetPlan, b: TargetPlan): number {
  const [first, second] = [a.createdAt, b.createdAt];
  const seconds = Number((first?.seconds ?? 0n) - (second?.seconds ?? 0n));
  return seconds || (first?.nanos ?? 0) - (second?.nanos ?? 0) || byId(a, b);
}
