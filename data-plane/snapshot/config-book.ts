import {
  type ConfigPage,
  type ConfigUpdate,
  type EncodedConfig,
  encodePage,
  packPages,
  packSteps,
  type SharedPages,
  sharedPage,
} from "../config/encoded-config.ts";
import { type EncodedTls, TlsEncoder } from "../config/encoded-tls.ts";
import { PagedSlots, pageSlotCount } from "../config/paged-slots.ts";
import { noTls, type TlsConfig } from "../config/tls-config.ts";
import type { EndpointSet, PoolConfig } from "../config/worker-config.ts";
import type { PoolPlan } from "../upstream/pool-plan.ts";
import type { ChangedSlots } from "./compile-services.ts";
import type { SnapshotPlan } from "./compile-snapshot.ts";

/** All but the pools. */
interface BookText {
  readonly publication: number;
  readonly revision: number;
  readonly services: PagedSlots<"services">;
  readonly routes: PagedSlots<"routes">;
  readonly tls: EncodedTls;
  /** What was encoded. */
  readonly tlsSource: TlsConfig;
}

/** Where the endpoints and rows of pools are known. */
export interface PoolPlaces {
  /** As workers were last told; undefined for a pool without. */
  setOf(poolKey: string): EndpointSet | undefined;
  /** As workers will be told with the config that is being prepared. */
  preparedSetOf(poolKey: string): EndpointSet | undefined;
  /** Row in the shared table; null where there is none. */
  poolRow(poolKey: string): number | null;
}
type SetOf = PoolPlaces["setOf"];

/** What is prepared beside what is there. */
interface Prepared {
  readonly text: BookText;
  readonly plans: ChangedSlots<PoolPlan>;
  readonly pages: Map<number, SharedArrayBuffer | undefined>;
  /** What endpoints have changed in since this was begun: what is encoded of it may say otherwise. */
  readonly stalePages: Set<number>;
  /** All pages, where workers are to get all of them; null where that is not known yet. */
  packed: SharedPages | null;
}

/**
 * What the workers are to serve, ready to be sent: what differs from the config before, for those that have that, and
 * all of it, for those that begin. A page that nothing was changed in is encoded once.
 *
 * A plan is prepared, then installed; then it is committed, or all is as it was before.
 */
export class ConfigBook {
  readonly #places: PoolPlaces;
  readonly #tlsEncoder = new TlsEncoder();
  #text: BookText = {
    ...{ publication: 0, revision: 0, services: new PagedSlots("services"), routes: new PagedSlots("routes") },
    ...{ tls: this.#tlsEncoder.encode(noTls), tlsSource: noTls },
  };
  /** By slot. */
  readonly #plans: (PoolPlan | null)[] = [];
  readonly #slotByKey = new Map<string, number>();
  readonly #poolPages: (SharedArrayBuffer | undefined)[] = [];
  /** What endpoints have changed in since they were encoded. */
  readonly #stalePages = new Set<number>();
  /** All pages as they were sent last; kept for the next worker, and not for longer than that. */
  #packed: WeakRef<SharedPages> | null = null;
  #prepared: Prepared | null = null;
  /** What there was before the plan that was installed last. */
  #before: Omit<Prepared, "pages" | "stalePages"> | null = null;

  constructor(places: PoolPlaces) {
    this.#places = places;
  }

  /**
   * Encodes the pools of a plan, in steps of one page: of what is known by now of their endpoints.
   * @param isWholeDue whether workers will be sent all of it, however little it changes
   */
  *prepareSteps(plan: SnapshotPlan, isWholeDue = false): Generator<void, void> {
    const { publication, revision, changedPools, content, tls } = plan;
    const text = {
      ...{ publication, revision, services: content.services, routes: content.routes, tlsSource: tls },
      tls: tls === this.#text.tlsSource ? this.#text.tls : this.#tlsEncoder.encode(tls),
    };
    const pages: Prepared["pages"] = new Map();
    const prepared: Prepared = { text, plans: changedPools, pages, stalePages: new Set(), packed: null };
    const places = this.#places;
    this.#prepared = prepared;
    for (const page of new Set([...changedPools.keys()].map(pageOf))) {
      const planAt = (slot: number) => changedPools.get(slot) ?? (changedPools.has(slot) ? null : this.#planAt(slot));
      pages.set(
        page,
        this.#encodePools(page, planAt, (key) => places.preparedSetOf(key)),
      );
      yield;
    }
    // A page that names have made stale is encoded in the turn in which it is sent, and all are put together then.
    if (!(isWholeDue || isForAll(plan)) || [...this.#stalePages].some((page) => !pages.has(page))) return;
    const poolPages = this.#poolPages.slice();
    for (const [page, bytes] of pages) poolPages[page] = bytes;
    prepared.packed = yield* packSteps(allPages(poolPages, text));
  }

  /** The plan that was prepared last is what workers are to get. */
  install(): void {
    const { text, plans, pages, stalePages, packed } = this.#prepared!;
    const formerPlans = new Map(Array.from(plans.keys(), (slot) => [slot, this.#planAt(slot)]));
    // Kept until it is committed, since by then it has been sent.
    this.#before = { text: this.#text, plans: formerPlans, packed };
    this.#put(text, plans);
    if (packed !== null) this.#packed = new WeakRef(packed);
    for (const [page, bytes] of pages) {
      while (this.#poolPages.length < page) this.#poolPages.push(undefined);
      this.#poolPages[page] = bytes;
      if (stalePages.has(page)) this.#stalePages.add(page);
      else this.#stalePages.delete(page);
    }
    this.#prepared = null;
  }

  commit(): void {
    this.#before = null;
  }

  /** What was prepared or installed, and not committed, has never been. */
  rollBack(): void {
    this.#prepared = null;
    if (this.#before === null) return;
    this.#put(this.#before.text, this.#before.plans);
    for (const slot of this.#before.plans.keys()) this.#stalePages.add(pageOf(slot));
    this.#before = null;
  }

  #put(text: BookText, plans: ChangedSlots<PoolPlan>): void {
    this.#text = text;
    this.#packed = null;
    for (const slot of plans.keys()) {
      const former = this.#planAt(slot);
      if (former !== null && this.#slotByKey.get(former.key) === slot) this.#slotByKey.delete(former.key);
    }
    for (const [slot, plan] of plans) {
      while (this.#plans.length < slot) this.#plans.push(null);
      this.#plans[slot] = plan;
      if (plan !== null) this.#slotByKey.set(plan.key, slot);
    }
  }

  #planAt(slot: number): PoolPlan | null {
    return this.#plans[slot] ?? null;
  }

  /** How workers that serve what was there before get to the plan that was installed last; the others get all of it. */
  update(plan: SnapshotPlan): ConfigUpdate {
    const { changes } = plan.content;
    if (changes === null || isForAll(plan)) return this.whole();
    const { changedPools } = plan;
    const { publication, revision, tls } = this.#text;
    const pages = inPages<ConfigPage>(
      [...changedPools.keys()].map((slot) => ({ pools: [this.#poolItem(slot, this.#planAt(slot), this.#setOf)] })),
      [...changes.services].map((service) => ({ services: [service] })),
      [...changes.routes].map((route) => ({ routes: [route] })),
    );
    const change: EncodedConfig = {
      ...{ publication, revision, isWhole: false, pages: pages.map(encodePage) },
      rings: this.#rings(changedPools.keys()),
      tls: tls === this.#before?.text.tls ? null : tls,
    };
    return { ...this.whole(), change };
  }

  /** How any worker gets to what was installed last, or gone back to. */
  whole(): ConfigUpdate {
    return { publication: this.#text.publication, change: null, whole: () => this.#encodeWhole() };
  }

  /** Names stand for other endpoints: pages that say otherwise are encoded anew when somebody asks for them. */
  endpointsChanged(sets: Iterable<Pick<EndpointSet, "poolKey">>): void {
    for (const { poolKey } of sets) {
      const slot = this.#slotByKey.get(poolKey);
      if (slot === undefined) continue;
      this.#stalePages.add(pageOf(slot));
      this.#prepared?.stalePages.add(pageOf(slot));
    }
  }

  #encodeWhole(): EncodedConfig {
    const { publication, revision, tls } = this.#text;
    const pages = (this.#stalePages.size === 0 ? this.#packed?.deref() : undefined) ?? this.#pack();
    return { ...{ publication, revision, isWhole: true, tls }, pages, rings: this.#rings(this.#plans.keys()) };
  }

  #pack(): SharedPages {
    for (const page of this.#stalePages) {
      this.#poolPages[page] = this.#encodePools(page, (slot) => this.#planAt(slot), this.#setOf);
    }
    this.#stalePages.clear();
    const pages = packPages(allPages(this.#poolPages, this.#text));
    this.#packed = new WeakRef(pages);
    return pages;
  }

  readonly #setOf: SetOf = (key) => this.#places.setOf(key);

  #encodePools(page: number, planAt: (slot: number) => PoolPlan | null, setOf: SetOf): SharedArrayBuffer | undefined {
    const pools: PoolItem[] = [];
    for (let slot = page * pageSlotCount; slot < (page + 1) * pageSlotCount; slot++) {
      const plan = planAt(slot);
      if (plan !== null) pools.push(this.#poolItem(slot, plan, setOf));
    }
    return pools.length === 0 ? undefined : sharedPage({ pools });
  }

  #poolItem(slot: number, plan: PoolPlan | null, setOf: SetOf): PoolItem {
    if (plan === null) return [slot, null, null];
    return [slot, toPoolConfig(plan, this.#places.poolRow(plan.key) ?? 0), setOf(plan.key) ?? null];
  }

  #rings(slots: Iterable<number>): EncodedConfig["rings"] {
    const found: EncodedConfig["rings"][number][] = [];
    for (const slot of slots) {
      const plan = this.#planAt(slot);
      if (plan?.algorithm !== "consistent-hashing") continue;
      const rings = this.#places.setOf(plan.key)?.rings ?? null;
      if (rings !== null) found.push([slot, rings]);
    }
    return found;
  }
}

type PoolItem = readonly [slot: number, pool: PoolConfig | null, set: EndpointSet | null];

/** Beyond so many changed slots, all of the config is sent. */
const changesMax = 1_000;

/** Whether so much changes that all workers get all of it. */
function isForAll({ content: { changes }, changedPools }: SnapshotPlan): boolean {
  return changes === null || changes.services.size + changes.routes.size + changedPools.size > changesMax;
}

function allPages(poolPages: readonly (SharedArrayBuffer | undefined)[], text: BookText): SharedArrayBuffer[] {
  return [...poolPages.filter((page) => page !== undefined), ...text.services.pages, ...text.routes.pages];
}

function pageOf(slot: number): number {
  return Math.floor(slot / pageSlotCount);
}

/** Items in pages of the usual size. */
function inPages<T extends ConfigPage>(...lists: readonly (readonly T[])[]): ConfigPage[] {
  const pages: ConfigPage[] = [];
  for (const list of lists) {
    for (let from = 0; from < list.length; from += pageSlotCount) {
      const items = list.slice(from, from + pageSlotCount);
      pages.push({
        pools: items.flatMap(({ pools = [] }) => pools),
        services: items.flatMap(({ services = [] }) => services),
        routes: items.flatMap(({ routes = [] }) => routes),
      });
    }
  }
  return pages;
}

/** Without what only the main thread needs. */
function toPoolConfig(plan: PoolPlan, poolRow: number): PoolConfig {
  const {
    members: _,
    weightBasis: _basis,
    usesSrvName: _name,
    slots: _slots,
    activeCheck: _check,
    serviceIds: _services,
    overrides: _overrides,
    ...pool
  } = plan;
  return { ...pool, poolRow };
}
