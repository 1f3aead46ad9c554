import { fromBinary } from "@bufbuild/protobuf";
import {
  type CaCertificate,
  CaCertificateSchema,
  type Certificate,
  CertificateSchema,
  type Sni,
  SniSchema,
  type TicketKey,
  TicketKeySchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { type HealthOverride, HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { type Route, RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { type Service, ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { type Target, TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { type ConfigContent, ConfigContentWriter } from "../config/encoded-config.ts";
import type { TlsConfig } from "../config/tls-config.ts";
import type { HealthOverridePlan, PoolMember, PoolPlan } from "../upstream/pool-plan.ts";
import type { ReceivedSnapshot, Refusal, SnapshotEntity } from "./apply-snapshot.ts";
import { CheckCompilation } from "./compile-checks.ts";
import { compileHealthOverride } from "./compile-health-override.ts";
import { compileRoute } from "./compile-route.ts";
import { compileService, type ServicePlan } from "./compile-service.ts";
import { ServiceTlsCompilation } from "./compile-service-tls.ts";
import { type CertificateExpiry, type CertificateTrial, TlsCompilation } from "./compile-tls.ts";
import { compileTarget, compileUpstream, type TargetTerms, targetTerms } from "./compile-upstream.ts";
import { type Compiled, compiled, dangling, type EntityProblem, invalid } from "./entity-problem.ts";

/** How many entities of each kind a node takes. */
export interface SnapshotLimits {
  readonly routesMax: number;
  readonly servicesMax: number;
  readonly upstreamsMax: number;
  readonly targetsMax: number;
  /** Certificates, and as many authorities; ten times as many server names. */
  readonly certificatesMax: number;
}

/** A snapshot ready to be served once the hosts of its pools are resolved. */
export interface SnapshotPlan {
  readonly publication: number;
  readonly revision: number;
  readonly pools: readonly PoolPlan[];
  readonly tls: TlsConfig;
  /** Of all certificates, also of those that only targets are shown. */
  readonly expiries: readonly CertificateExpiry[];
  /** The routes and services. */
  readonly content: ConfigContent;
  /** What was left out without harm, each in one sentence. */
  readonly notes: readonly string[];
}

/** Whether this node itself listens there. */
export type IsOwnPort = (host: string, port: number) => boolean;

export type CompileOutcome =
  | { readonly ok: true; readonly plan: SnapshotPlan }
  | { readonly ok: false; readonly refusal: Refusal };

/**
 * Decodes a snapshot and checks everything that workers rely on: what passes here, a worker can serve.
 * The control plane has validated all of it; a node checks again since it may meet one of another version.
 * It refuses the whole at the first problem, and refuses nothing that the control plane lets through.
 */
export function compileSnapshot(
  snapshot: ReceivedSnapshot,
  limits: SnapshotLimits,
  trial: CertificateTrial,
  isOwnPort: IsOwnPort = () => false,
): CompileOutcome {
  const steps = compileSteps(snapshot, limits, trial, isOwnPort);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same, to be taken in steps of one entity. */
export function* compileSteps(
  snapshot: ReceivedSnapshot,
  limits: SnapshotLimits,
  trial: CertificateTrial,
  isOwnPort: IsOwnPort = () => false,
): Generator<void, CompileOutcome> {
  const compilation = new Compilation(limits, trial, isOwnPort);
  const outcome = yield* compilation.run(snapshot.entities);
  if (!outcome.ok) return { ok: false, refusal: outcome.refusal };
  const { publication, revision } = snapshot;
  return { ok: true, plan: { publication, revision, ...outcome.parts } };
}

type Parts = Pick<SnapshotPlan, "pools" | "content" | "tls" | "expiries" | "notes">;

/** Bodies of a kind, by id, in the order in which they came. */
interface Bodies {
  readonly ca_certificate: Map<string, Uint8Array>;
  readonly certificate: Map<string, Uint8Array>;
  readonly sni: Map<string, Uint8Array>;
  readonly ticket_key: Map<string, Uint8Array>;
  readonly upstream: Map<string, Uint8Array>;
  readonly target: Map<string, Uint8Array>;
  readonly health_override: Map<string, Uint8Array>;
  readonly service: Map<string, Uint8Array>;
  readonly route: Map<string, Uint8Array>;
}
type KnownKind = keyof Bodies;

const DECODERS: { readonly [K in KnownKind]: (body: Uint8Array) => MessageOf[K] } = {
  ca_certificate: (body) => fromBinary(CaCertificateSchema, body),
  certificate: (body) => fromBinary(CertificateSchema, body),
  sni: (body) => fromBinary(SniSchema, body),
  ticket_key: (body) => fromBinary(TicketKeySchema, body),
  upstream: (body) => fromBinary(UpstreamSchema, body),
  target: (body) => fromBinary(TargetSchema, body),
  health_override: (body) => fromBinary(HealthOverrideSchema, body),
  service: (body) => fromBinary(ServiceSchema, body),
  route: (body) => fromBinary(RouteSchema, body),
};
interface MessageOf {
  ca_certificate: CaCertificate;
  certificate: Certificate;
  sni: Sni;
  ticket_key: TicketKey;
  upstream: Upstream;
  target: Target;
  health_override: HealthOverride;
  service: Service;
  route: Route;
}

/** A target as a member of its pool, with what decides its place there. */
interface AgedMember extends Pick<Target, "id" | "createdAt"> {
  readonly member: PoolMember;
}

interface UpstreamPlan {
  readonly plan: PoolPlan;
  readonly terms: TargetTerms;
  readonly members: AgedMember[];
  readonly overrides: HealthOverridePlan[];
}

/**
 * One run over one snapshot. Kinds are compiled in the order of their references: certificates, upstreams, targets and what
 * people decided of them, services, routes.
 * Each entity is decoded, compiled and encoded for the workers before the next one: of a large state nothing but the
 * result is ever in memory as a whole.
 */
class Compilation {
  readonly #limits: SnapshotLimits;
  readonly #tls: TlsCompilation;
  readonly #serviceTls: ServiceTlsCompilation;
  readonly #bodies: Bodies = {
    ca_certificate: new Map(),
    certificate: new Map(),
    sni: new Map(),
    ticket_key: new Map(),
    upstream: new Map(),
    target: new Map(),
    health_override: new Map(),
    service: new Map(),
    route: new Map(),
  };
  readonly #isOwnPort: IsOwnPort;
  readonly #checks = new CheckCompilation();
  readonly #upstreamPools = new Map<string, UpstreamPlan>();
  readonly #upstreamIdByTarget = new Map<string, string>();
  readonly #notes: string[] = [];
  /** Id of the certificate that an upstream's targets are shown, by the upstream's name. */
  readonly #shownByUpstream = new Map<string, string>();
  readonly #upstreamIdByName = new Map<string, string>();
  readonly #services: ServicePlan[] = [];
  readonly #serviceIndexById = new Map<string, number>();
  readonly #content = new ConfigContentWriter();

  constructor(limits: SnapshotLimits, trial: CertificateTrial, isOwnPort: IsOwnPort) {
    this.#limits = limits;
    this.#isOwnPort = isOwnPort;
    this.#tls = new TlsCompilation(trial);
    this.#serviceTls = new ServiceTlsCompilation(this.#tls);
  }

  *run(
    entities: readonly SnapshotEntity[],
  ): Generator<void, { ok: true; parts: Parts } | { ok: false; refusal: Refusal }> {
    for (const entity of entities) {
      const problem = this.#sortIn(entity);
      if (problem !== null) return { ok: false, refusal: refusalOf(problem, entity.kind, entity.id, "") };
    }
    const refusal =
      (yield* this.#compileTls()) ??
      (yield* this.#compileEach("upstream", (upstream) => this.#addUpstream(upstream), nameOf)) ??
      (yield* this.#compileEach(
        "target",
        (target) => this.#addTarget(target),
        (target) => target.target,
      )) ??
      (yield* this.#compileEach(
        "health_override",
        (override) => this.#addOverride(override),
        () => "",
      )) ??
      (yield* this.#compileEach("service", (service) => this.#addService(service), nameOf)) ??
      (yield* this.#compileEach("route", (route) => this.#addRoute(route), nameOf));
    return refusal === null ? { ok: true, parts: this.#parts() } : { ok: false, refusal };
  }

  *#compileTls(): Generator<void, Refusal | null> {
    const tls = this.#tls;
    const unnamed = () => "";
    return (
      (yield* this.#compileEach("ca_certificate", (one) => tls.addAuthority(one), unnamed)) ??
      (yield* this.#compileEach("certificate", (one) => tls.addCertificate(one), unnamed)) ??
      (yield* this.#compileEach("sni", (one) => tls.addServerName(one), nameOf)) ??
      (yield* this.#compileEach("ticket_key", (one) => tls.addTicketKey(one), unnamed))
    );
  }

  #sortIn({ kind, id, body }: SnapshotEntity): EntityProblem | null {
    if (!isKnownKind(kind)) {
      return { reason: "unknown_kind", field: "", message: `this version knows no kind ${JSON.stringify(kind)}` };
    }
    const bodies = this.#bodies[kind];
    const limit = this.#limitOf(kind);
    if (bodies.size >= limit) {
      return { reason: "limit_exceeded", field: "", message: `more than ${limit} of kind ${kind}` };
    }
    if (id === "") return { reason: "invalid_entity", field: "id", message: "is missing" };
    if (bodies.has(id)) return { reason: "duplicate_entity", field: "id", message: "comes twice" };
    bodies.set(id, body);
    return null;
  }

  #limitOf(kind: KnownKind): number {
    const { routesMax, servicesMax, upstreamsMax, targetsMax, certificatesMax } = this.#limits;
    return {
      route: routesMax,
      service: servicesMax,
      upstream: upstreamsMax,
      target: targetsMax,
      // One per target, and one per address of those that people decided on by address.
      health_override: 10 * targetsMax,
      certificate: certificatesMax,
      ca_certificate: certificatesMax,
      sni: 10 * certificatesMax,
      ticket_key: 1,
    }[kind];
  }

  *#compileEach<K extends KnownKind>(
    kind: K,
    add: (message: MessageOf[K]) => Compiled<unknown>,
    name: (message: MessageOf[K]) => string,
  ): Generator<void, Refusal | null> {
    for (const [id, body] of this.#bodies[kind]) {
      const message = decode(kind, id, body);
      if (!message.ok) return refusalOf(message.problem, kind, id, "");
      const added = add(message.value);
      if (!added.ok) return refusalOf(added.problem, kind, id, name(message.value));
      yield;
    }
    return null;
  }

  #addUpstream(upstream: Upstream): Compiled<unknown> {
    const shown = this.#serviceTls.checkUpstream(upstream);
    if (!shown.ok) return shown;
    const checks = this.#checks.compile(upstream, this.#tls.pairs(upstream.clientCertificate?.id ?? "") ?? []);
    if (!checks.ok) return checks;
    const pool = compileUpstream(upstream, checks.value);
    if (!pool.ok) return pool;
    if (this.#upstreamIdByName.has(upstream.name)) return invalid("name", "another upstream has it");
    this.#upstreamIdByName.set(upstream.name, upstream.id);
    if (upstream.clientCertificate !== undefined)
      this.#shownByUpstream.set(upstream.name, upstream.clientCertificate.id);
    this.#upstreamPools.set(upstream.id, {
      ...{ plan: pool.value, terms: targetTerms(upstream) },
      ...{ members: [], overrides: [] },
    });
    return pool;
  }

  #addTarget(target: Target): Compiled<unknown> {
    const upstreamId = target.upstream?.id ?? "";
    const pool = this.#upstreamPools.get(upstreamId);
    if (upstreamId === "") return invalid("upstream", "is missing");
    if (pool === undefined) return dangling("upstream", `there is no upstream ${upstreamId}`);
    const member = compileTarget(target, pool.terms);
    const { id, createdAt } = target;
    if (member.ok && member.value !== null && this.#isOwnPort(member.value.host, member.value.port)) {
      return invalid("target", `${target.target} is a port of this node itself`);
    }
    this.#upstreamIdByTarget.set(id, upstreamId);
    if (member.ok && member.value !== null) pool.members.push({ id, createdAt, member: member.value });
    return member;
  }

  #addOverride(override: HealthOverride): Compiled<unknown> {
    const plan = compileHealthOverride(override);
    if (!plan.ok) return plan;
    const { id, targetId } = plan.value;
    const pool = this.#upstreamPools.get(this.#upstreamIdByTarget.get(targetId) ?? "");
    if (pool === undefined) this.#notes.push(`health_override ${id}: there is no target ${targetId}`);
    else pool.overrides.push(plan.value);
    return plan;
  }

  #addService(service: Service): Compiled<unknown> {
    const plan = compileService(service);
    if (!plan.ok) return plan;
    const tls = this.#serviceTls.compile(service, this.#shownByUpstream.get(plan.value.hostPool.name));
    // A disabled service is checked like any other, then left out with its routes.
    if (!tls.ok || service.enabled === false) return tls;
    this.#serviceIndexById.set(service.id, this.#services.length);
    this.#services.push({ ...plan.value, tls: plan.value.protocol === "https" ? tls.value : null });
    return plan;
  }

  #addRoute(route: Route): Compiled<unknown> {
    const serviceId = route.service === undefined ? null : route.service.id;
    if (serviceId !== null && !this.#bodies.service.has(serviceId)) {
      return dangling("service", `there is no service ${serviceId}`);
    }
    const config = compileRoute(route);
    if (!config.ok) return config;
    const serviceIndex = serviceId === null ? -1 : this.#serviceIndexById.get(serviceId);
    if (serviceIndex !== undefined) this.#content.addRoute({ ...config.value, serviceIndex });
    return compiled(null);
  }

  /** All upstreams, also those that no service names yet: so a service that comes to name one finds it resolved. */
  #parts(): Parts {
    const pools: PoolPlan[] = [];
    const poolIndexByKey = new Map<string, number>();
    const place = (pool: PoolPlan): number => {
      const index = poolIndexByKey.get(pool.key) ?? pools.push(pool) - 1;
      poolIndexByKey.set(pool.key, index);
      return index;
    };
    const serviceIdsByKey = new Map<string, string[]>();
    const placeHost = (pool: PoolPlan, serviceId: string): number => {
      const serviceIds = serviceIdsByKey.get(pool.key) ?? [];
      serviceIdsByKey.set(pool.key, serviceIds);
      serviceIds.push(serviceId);
      return place({ ...pool, serviceIds });
    };
    for (const { plan, members, overrides } of this.#upstreamPools.values()) {
      place({ ...plan, members: members.sort(byAge).map(({ member }) => member), overrides });
    }
    for (const { hostPool, ...service } of this.#services) {
      const upstreamId = this.#upstreamIdByName.get(hostPool.name);
      // An upstream's name is virtual: it is never looked up in DNS.
      const poolIndex =
        upstreamId === undefined ? placeHost(hostPool, service.id) : poolIndexByKey.get(`upstream:${upstreamId}`)!;
      this.#content.addService({ ...service, poolIndex });
    }
    return {
      pools,
      content: this.#content.finish(),
      tls: this.#tls.config(),
      expiries: this.#tls.expiries(),
      notes: this.#notes,
    };
  }
}

function decode<K extends KnownKind>(kind: K, id: string, body: Uint8Array): Compiled<MessageOf[K]> {
  let message: MessageOf[K];
  try {
    message = DECODERS[kind](body);
  } catch (cause) {
    const problem = `cannot be decoded: ${(cause as Error).message}`;
    return { ok: false, problem: { reason: "undecodable_entity", field: "", message: problem } };
  }
  return message.id === id ? compiled(message) : invalid("id", `differs from the one in the body, ${message.id}`);
}

/** Oldest first, so that round-robin goes in the order in which the targets were added, on every node. */
function byAge(a: AgedMember, b: AgedMember): number {
  const [first, second] = [a.createdAt, b.createdAt];
  const seconds = Number((first?.seconds ?? 0n) - (second?.seconds ?? 0n));
  return seconds || (first?.nanos ?? 0) - (second?.nanos ?? 0) || (a.id < b.id ? -1 : 1);
}

function isKnownKind(kind: string): kind is KnownKind {
  return Object.hasOwn(DECODERS, kind);
}

function nameOf(message: { readonly name?: string | undefined }): string {
  return message.name ?? "";
}

function refusalOf(problem: EntityProblem, kind: string, id: string, name: string): Refusal {
  const { reason, field, message } = problem;
  return { reason, entityKind: kind, entityId: id, entityName: name, field, message };
}
