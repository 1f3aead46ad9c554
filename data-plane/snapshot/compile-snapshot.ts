import type { HardLimits } from "../../proto/hard-limits.ts";
import type { TlsConfig } from "../config/tls-config.ts";
import { untilDone } from "../steps/until-done.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { ReceivedSnapshot, Refusal, SnapshotEntity } from "./apply-snapshot.ts";
import { type IsOwnPort, type PlacedPool, PoolCompilation } from "./compile-pools.ts";
import { type ChangedSlots, type CompiledContent, ServiceCompilation } from "./compile-services.ts";
import { type CertificateExpiry, type CertificateTrial, TlsCompilation } from "./compile-tls.ts";
import { type ContentChanges, contentChanges, findEntity, idsOfKind, sortedEntities } from "./content-changes.ts";
import { decodeEntity, type KnownKind, knownKinds, type MessageOf, nameOf } from "./decode-entity.ts";
import { type Compiled, excessProblem, refusalOf } from "./entity-problem.ts";
import { Journal } from "./journal.ts";

export type { IsOwnPort, PlacedPool } from "./compile-pools.ts";

/** How many entities of each kind a node takes; how large all of them may be is asked before they are here. */
export type SnapshotLimits = Omit<HardLimits, "bodyBytesMax">;

/** A snapshot ready to be served once the hosts of its pools are resolved. */
export interface SnapshotPlan {
  readonly publication: number;
  readonly revision: number;
  /** By kind and id: what it was compiled of, and the one before it, to be compiled when it is to be gone back to. */
  readonly entities: readonly SnapshotEntity[];
  readonly before: readonly SnapshotEntity[];
  readonly pools: readonly PlacedPool[];
  readonly changedPools: ChangedSlots<PoolPlan>;
  readonly content: CompiledContent;
  readonly tls: TlsConfig;
  /** Of all certificates, also of those that only targets are shown. */
  readonly expiries: readonly CertificateExpiry[];
  /** What was left out without harm, each in one sentence. */
  readonly notes: readonly string[];
}

export type CompileOutcome =
  | { readonly ok: true; readonly plan: SnapshotPlan }
  | { readonly ok: false; readonly refusal: Refusal };

/** What is done with the entities of a kind. */
interface KindRules<K extends KnownKind> {
  add(message: MessageOf[K]): Compiled<unknown>;
  /** What was made of it before, if anything was; it may be added anew after that. */
  remove(id: string): void;
  /** Called when all of the kind that are there are added: marks what has to be compiled anew for it. */
  settle(id: string): void;
}

/** Ids that are to be compiled, or compiled anew, by kind. */
type Dirty = Map<KnownKind, Set<string>>;

/**
 * Compiles one snapshot after the other: decodes it and checks everything that workers rely on, so that what passes
 * here, a worker can serve. The control plane has validated all of it; a node checks again since it may meet one of
 * another version. It refuses the whole at the first problem, and refuses nothing that the control plane lets through.
 *
 * Only what differs from the snapshot before, and what refers to that, is compiled; what comes of it is what would come
 * of the whole, but for the slots. A refused snapshot leaves everything as it was.
 *
 * Each entity is decoded, compiled and encoded for the workers before the next one: of a large state nothing but the
 * result is ever in memory as a whole.
 */
export class SnapshotCompiler {
  readonly #limits: SnapshotLimits;
  readonly #journal = new Journal();
  readonly #tls: TlsCompilation;
  readonly #pools: PoolCompilation;
  readonly #services: ServiceCompilation;
  readonly #rules: { readonly [K in KnownKind]: KindRules<K> };
  #entities: readonly SnapshotEntity[] = [];
  #tlsConfig: TlsConfig;
  #expiries: readonly CertificateExpiry[] = [];
  #dirty: Dirty = new Map();
  /** Compiled, and neither committed nor rolled back. */
  #open: SnapshotPlan | null = null;

  constructor(limits: SnapshotLimits, trial: CertificateTrial, isOwnPort: IsOwnPort = () => false) {
    this.#limits = limits;
    this.#tls = new TlsCompilation(trial, this.#journal);
    this.#pools = new PoolCompilation(this.#tls, isOwnPort, this.#journal);
    this.#services = new ServiceCompilation(this.#tls, this.#pools, this.#journal);
    this.#tlsConfig = this.#tls.config([]);
    this.#rules = { ...this.#tlsRules(), ...this.#poolRules(), ...this.#serviceRules() };
  }

  /**
   * Compiles a snapshot, in steps of about one entity. To be taken to their end; then, where it was not refused, by
   * `commit` or `rollBack`, before the next one.
   */
  *steps(snapshot: Pick<ReceivedSnapshot, "publication" | "revision" | "entities">): Generator<void, CompileOutcome> {
    this.#open = null;
    let outcome: CompileOutcome | null = null;
    try {
      outcome = yield* this.#run(snapshot);
    } finally {
      if (outcome?.ok !== true) this.#journal.rollBack();
    }
    if (outcome.ok) this.#open = outcome.plan;
    return outcome;
  }

  /** What was compiled last is what the next snapshot is compared with. */
  commit(): void {
    if (this.#open === null) return;
    this.#entities = this.#open.entities;
    this.#tlsConfig = this.#open.tls;
    this.#expiries = this.#open.expiries;
    this.#open = null;
    this.#journal.commit();
  }

  /** What was compiled last has never been, down to the slots. */
  rollBack(): void {
    this.#open = null;
    this.#journal.rollBack();
  }

  /** The pools of what was compiled last, or gone back to; in no order. */
  get pools(): readonly PlacedPool[] {
    return this.#pools.pools();
  }

  *#run({
    publication,
    revision,
    entities: given,
  }: Pick<ReceivedSnapshot, "publication" | "revision" | "entities">): Generator<void, CompileOutcome> {
    const entities = yield* sortedEntities(given, this.#entities);
    const read = yield* contentChanges(this.#entities, entities, this.#limits);
    if (!read.ok) return read;
    this.#dirty = new Map([...read.changes].map(([kind, ids]) => [kind, new Set(ids)]));
    for (const kind of knownKinds) {
      const refusal = yield* this.#compileKind(kind, entities, read.changes);
      if (refusal !== null) return { ok: false, refusal };
    }
    const changedPools = yield* this.#pools.placeSteps();
    const content = yield* this.#services.finishSteps();
    const isTls = (["ca_certificate", "certificate", "sni", "ticket_key"] as const).some((kind) =>
      this.#dirty.has(kind),
    );
    return {
      ok: true,
      plan: {
        ...{ publication, revision, entities, before: read.before, changedPools, content },
        pools: this.#pools.pools(),
        tls: isTls ? this.#tls.config(idsOfKind(entities, "sni")) : this.#tlsConfig,
        expiries: isTls ? this.#tls.expiries(idsOfKind(entities, "certificate")) : this.#expiries,
        notes: this.#pools.notes(idsOfKind(entities, "health_override")),
      },
    };
  }

  /** All of a kind that are to go, go first: what one gives up, a name for instance, another may have at once. */
  *#compileKind<K extends KnownKind>(
    kind: K,
    entities: readonly SnapshotEntity[],
    changes: ContentChanges,
  ): Generator<void, Refusal | null> {
    const rules = this.#rules[kind];
    const ids = [...(this.#dirty.get(kind) ?? [])];
    // Those that are only compiled anew come in between: the first problem is to be the same however it came to be.
    if (ids.length > (changes.get(kind)?.size ?? 0)) ids.sort();
    for (const id of ids) {
      rules.remove(id);
      yield;
    }
    for (const id of ids) {
      const entity = findEntity(entities, kind, id);
      if (entity === null) continue;
      const message = decodeEntity(kind, id, entity.body);
      if (!message.ok) return refusalOf(message.problem, kind, id, "");
      const added = rules.add(message.value);
      if (!added.ok) return refusalOf(added.problem, kind, id, nameOf(kind, message.value));
      yield;
    }
    const excess = kind === "target" ? this.#targetsRefusal(entities) : null;
    if (excess !== null) return excess;
    for (const id of ids) {
      rules.settle(id);
      yield;
    }
    return null;
  }

  /** Asked when all targets are there, so that it is the same one that is too many however the state came to be. */
  #targetsRefusal(entities: readonly SnapshotEntity[]): Refusal | null {
    const tooMany = this.#pools.targetTooMany(this.#limits);
    if (tooMany === null) return null;
    const { id, excess } = tooMany;
    const target = decodeEntity("target", id, findEntity(entities, "target", id)!.body);
    return refusalOf(excessProblem(excess), "target", id, target.ok ? nameOf("target", target.value) : "");
  }

  #mark(kind: KnownKind, ids: Iterable<string>): void {
    const marked = this.#dirty.get(kind) ?? new Set();
    for (const id of ids) this.#dirty.set(kind, marked.add(id));
  }

  #tlsRules() {
    const [tls, pools, services] = [this.#tls, this.#pools, this.#services];
    return {
      ca_certificate: {
        add: (authority) => tls.addAuthority(authority),
        remove: (id) => tls.removeAuthority(id),
        settle: (id) => {
          this.#mark("certificate", tls.certificatesByAuthority.of(id));
          this.#mark("service", services.servicesByAuthority.of(id));
        },
      } satisfies KindRules<"ca_certificate">,
      certificate: {
        add: (certificate) => tls.addCertificate(certificate),
        remove: (id) => tls.removeCertificate(id),
        settle: (id) => {
          if (tls.pairs(id) === undefined) this.#mark("sni", tls.namesByCertificate.of(id));
          this.#mark("upstream", pools.upstreamsByCertificate.of(id));
          this.#mark("service", services.servicesByCertificate.of(id));
        },
      } satisfies KindRules<"certificate">,
      sni: {
        add: (sni) => tls.addServerName(sni),
        remove: (id) => tls.removeServerName(id),
        settle: () => {},
      } satisfies KindRules<"sni">,
      ticket_key: {
        add: (ticketKey) => tls.addTicketKey(ticketKey),
        remove: (id) => tls.removeTicketKey(id),
        settle: () => {},
      } satisfies KindRules<"ticket_key">,
    };
  }

  #poolRules() {
    const [pools, services] = [this.#pools, this.#services];
    /** As they were before. */
    const upstreams = this.#formerOf((id) => pools.upstream(id));
    const targets = this.#formerOf((id) => pools.target(id));
    return {
      upstream: {
        add: (upstream) => pools.addUpstream(upstream),
        remove: (id) => {
          upstreams.keep(id);
          pools.removeUpstream(id);
        },
        settle: (id) => {
          const [former, now] = [upstreams.of(id), pools.upstream(id)];
          if (JSON.stringify(former?.terms) !== JSON.stringify(now?.terms)) {
            this.#mark("target", pools.targetsByUpstream.of(id));
          }
          const isShown = former !== undefined && now !== undefined && former.shownId === "" && now.shownId === "";
          if (isShown && former.plan.name === now.plan.name) return;
          for (const plan of [former, now]) {
            if (plan !== undefined) this.#mark("service", services.servicesByHost.of(plan.plan.name));
          }
        },
      } satisfies KindRules<"upstream">,
      target: {
        add: (target) => pools.addTarget(target),
        remove: (id) => {
          targets.keep(id);
          pools.removeTarget(id);
        },
        // Whose pool has it, has what was decided of it.
        settle: (id) => {
          if (targets.of(id)?.upstreamId !== pools.target(id)?.upstreamId) {
            this.#mark("health_override", pools.overridesByTarget.of(id));
          }
        },
      } satisfies KindRules<"target">,
      health_override: {
        add: (override) => pools.addOverride(override),
        remove: (id) => pools.removeOverride(id),
        settle: () => {},
      } satisfies KindRules<"health_override">,
    };
  }

  #serviceRules() {
    const services = this.#services;
    const wasThere = this.#formerOf((id) => ({ has: services.has(id), isServed: services.isServed(id) }));
    return {
      service: {
        add: (service) => services.addService(service),
        remove: (id) => {
          wasThere.keep(id);
          services.removeService(id);
        },
        settle: (id) => {
          services.freeService(id);
          const former = wasThere.of(id)!;
          if (former.has === services.has(id) && former.isServed === services.isServed(id)) return;
          this.#mark("route", services.routesByService.of(id));
        },
      } satisfies KindRules<"service">,
      route: {
        add: (route) => services.addRoute(route),
        remove: (id) => services.removeRoute(id),
        settle: (id) => services.freeRoute(id),
      } satisfies KindRules<"route">,
    };
  }

  /** What is remembered of entities from when they are removed to when they are settled. */
  #formerOf<T>(read: (id: string) => T) {
    const kept = new Map<string, T>();
    this.#journal.onEnd(() => kept.clear());
    return { keep: (id: string) => void kept.set(id, read(id)), of: (id: string) => kept.get(id) };
  }
}

/** A snapshot of which nothing is known yet. */
export function compileSnapshot(
  snapshot: ReceivedSnapshot,
  limits: SnapshotLimits,
  trial: CertificateTrial,
  isOwnPort: IsOwnPort = () => false,
): CompileOutcome {
  return untilDone(new SnapshotCompiler(limits, trial, isOwnPort).steps(snapshot));
}
