import type { Route } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import type { Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { PagedSlots, type PagedSlotsEdit } from "../config/paged-slots.ts";
import type { RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import type { PoolCompilation } from "./compile-pools.ts";
import { compileRoute } from "./compile-route.ts";
import { compileService } from "./compile-service.ts";
import { ServiceTlsCompilation } from "./compile-service-tls.ts";
import type { TlsCompilation } from "./compile-tls.ts";
import { type Compiled, compiled, dangling } from "./entity-problem.ts";
import { Dependents, type Journal, JournaledMap, SlotTable } from "./journal.ts";

/** What slots hold from now on; null = nothing. */
export type ChangedSlots<T> = ReadonlyMap<number, T | null>;

/** The services and routes of one config, and what of them is not as in the config before. */
export interface CompiledContent {
  readonly services: PagedSlots<"services">;
  readonly routes: PagedSlots<"routes">;
  /** null: so many that workers had better get all of them anew. */
  readonly changes: {
    readonly services: ChangedSlots<ServiceConfig>;
    readonly routes: ChangedSlots<RouteConfig>;
  } | null;
}

interface ServicePlan {
  /** Whether it is enabled: a disabled one is checked like any other, then left out with its routes. */
  readonly isServed: boolean;
  readonly hostKey: string;
  readonly hostName: string;
  readonly authorityIds: readonly string[];
  /** "" for none. */
  readonly certificateId: string;
}

/** Between two ends of the journal. */
interface ContentEdit {
  readonly services: PagedSlotsEdit<"services">;
  readonly routes: PagedSlotsEdit<"routes">;
  /** Equal settings become one object, so that they cross to the workers once. */
  readonly tls: ServiceTlsCompilation;
  readonly changedServices: Map<number, ServiceConfig | null>;
  readonly changedRoutes: Map<number, RouteConfig | null>;
  changeCount: number;
  done: CompiledContent | null;
}

/** Beyond so many changed services and routes, workers get the config as a whole. */
const changesMax = 1_000;

/** The services and routes of a snapshot. What is removed may be added anew, changed or not. */
export class ServiceCompilation {
  readonly #tls: TlsCompilation;
  readonly #pools: PoolCompilation;
  readonly #plans: JournaledMap<string, ServicePlan>;
  /** Id of its service, by id of the route; "" for none. */
  readonly #serviceIdByRoute: JournaledMap<string, string>;
  readonly #serviceSlots: SlotTable;
  readonly #routeSlots: SlotTable;
  readonly servicesByHost: Dependents;
  readonly servicesByAuthority: Dependents;
  readonly servicesByCertificate: Dependents;
  readonly routesByService: Dependents;
  #services = new PagedSlots("services");
  #routes = new PagedSlots("routes");
  #edit: ContentEdit;

  constructor(tls: TlsCompilation, pools: PoolCompilation, journal: Journal) {
    this.#tls = tls;
    this.#pools = pools;
    this.#plans = new JournaledMap(journal);
    this.#serviceIdByRoute = new JournaledMap(journal);
    this.#serviceSlots = new SlotTable(journal);
    this.#routeSlots = new SlotTable(journal);
    this.servicesByHost = new Dependents(journal);
    this.servicesByAuthority = new Dependents(journal);
    this.servicesByCertificate = new Dependents(journal);
    this.routesByService = new Dependents(journal);
    journal.onEnd((isCommitted) => {
      if (isCommitted && this.#edit.done !== null)
        ({ services: this.#services, routes: this.#routes } = this.#edit.done);
      this.#edit = this.#newEdit();
    });
    this.#edit = this.#newEdit();
  }

  #newEdit(): ContentEdit {
    return {
      services: this.#services.edit(),
      routes: this.#routes.edit(),
      tls: new ServiceTlsCompilation(this.#tls),
      changedServices: new Map(),
      changedRoutes: new Map(),
      changeCount: 0,
      done: null,
    };
  }

  /** Whether routes can lead to it. */
  isServed(serviceId: string): boolean {
    return this.#plans.get(serviceId)?.isServed === true;
  }

  has(serviceId: string): boolean {
    return this.#plans.has(serviceId);
  }

  addService(service: Service): Compiled<unknown> {
    const { id } = service;
    const plan = compileService(service);
    if (!plan.ok) return plan;
    const { hostPool, ...config } = plan.value;
    const tls = this.#edit.tls.compile(service, this.#pools.upstreamNamed(hostPool.name)?.shownId || undefined);
    if (!tls.ok) return tls;
    const isServed = service.enabled !== false;
    const certificateId = service.clientCertificate?.id ?? "";
    const host = { hostKey: hostPool.key, hostName: hostPool.name };
    const authorityIds = [...service.caCertificates];
    this.#plans.set(id, { isServed, ...host, authorityIds, certificateId });
    this.servicesByHost.add(hostPool.name, id);
    for (const authorityId of authorityIds) this.servicesByAuthority.add(authorityId, id);
    if (certificateId !== "") this.servicesByCertificate.add(certificateId, id);
    if (!isServed) return plan;
    const poolIndex = this.#pools.addHost(hostPool, id);
    const usedTls = config.protocol === "https" ? tls.value : null;
    this.#putService(this.#serviceSlots.take(id), { ...config, tls: usedTls, poolIndex });
    return plan;
  }

  /** Its slot is still its own: `freeService` gives it back, where it was not added anew. */
  removeService(id: string): void {
    const known = this.#plans.get(id);
    if (known === undefined) return;
    this.#plans.delete(id);
    this.servicesByHost.remove(known.hostName, id);
    for (const authorityId of known.authorityIds) this.servicesByAuthority.remove(authorityId, id);
    if (known.certificateId !== "") this.servicesByCertificate.remove(known.certificateId, id);
    if (known.isServed) this.#pools.removeHost(known.hostKey, id);
  }

  freeService(id: string): void {
    const slot = this.#serviceSlots.get(id);
    if (slot === -1 || this.isServed(id)) return;
    this.#serviceSlots.giveBack(id);
    this.#putService(slot, null);
  }

  addRoute(route: Route): Compiled<unknown> {
    const serviceId = route.service === undefined ? null : route.service.id;
    if (serviceId !== null && !this.#plans.has(serviceId)) {
      return dangling("service", `there is no service ${serviceId}`);
    }
    const config = compileRoute(route);
    if (!config.ok) return config;
    this.#serviceIdByRoute.set(route.id, serviceId ?? "");
    if (serviceId !== null) this.routesByService.add(serviceId, route.id);
    if (serviceId !== null && !this.isServed(serviceId)) return compiled(null);
    const serviceIndex = serviceId === null ? -1 : this.#serviceSlots.get(serviceId);
    this.#putRoute(this.#routeSlots.take(route.id), { ...config.value, serviceIndex });
    return compiled(null);
  }

  /** Its slot is still its own: `freeRoute` gives it back, where it was not added anew. */
  removeRoute(id: string): void {
    const serviceId = this.#serviceIdByRoute.get(id);
    if (serviceId === undefined) return;
    this.#serviceIdByRoute.delete(id);
    if (serviceId !== "") this.routesByService.remove(serviceId, id);
  }

  freeRoute(id: string): void {
    const slot = this.#routeSlots.get(id);
    const serviceId = this.#serviceIdByRoute.get(id);
    if (slot === -1 || serviceId === "" || (serviceId !== undefined && this.isServed(serviceId))) return;
    this.#routeSlots.giveBack(id);
    this.#putRoute(slot, null);
  }

  #putService(slot: number, service: ServiceConfig | null): void {
    this.#edit.services.set(slot, service);
    this.#note(this.#edit.changedServices, slot, service);
  }

  #putRoute(slot: number, route: RouteConfig | null): void {
    this.#edit.routes.set(slot, route);
    this.#note(this.#edit.changedRoutes, slot, route);
  }

  /** Of a large change nothing is kept that is not encoded. */
  #note<T>(changed: Map<number, T | null>, slot: number, item: T | null): void {
    if (++this.#edit.changeCount <= changesMax) {
      changed.set(slot, item);
      return;
    }
    this.#edit.changedServices.clear();
    this.#edit.changedRoutes.clear();
  }

  /** What is ready for workers, in steps of one page; nothing may be added or removed before the journal's end. */
  *finishSteps(): Generator<void, CompiledContent> {
    const { changeCount, changedServices, changedRoutes } = this.#edit;
    const services = yield* this.#edit.services.finishSteps();
    const routes = yield* this.#edit.routes.finishSteps();
    const changes = changeCount > changesMax ? null : { services: changedServices, routes: changedRoutes };
    this.#edit.done = { services, routes, changes };
    return this.#edit.done;
  }
}
