import type { StoredKind } from "../resource/checked.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { isOfKind, referencesOf } from "./build-snapshot.ts";
import { CertificateDemand } from "./certificate-demand.ts";
import {
  type ConditionId,
  type ConjunctionId,
  EVERYWHERE,
  NO_SELECTOR,
  NOWHERE,
  type NodeConditions,
} from "./node-conditions.ts";
import { ReferenceDemand } from "./reference-demand.ts";
import { serverNamesOf } from "./server-name-patterns.ts";

/** Resources that are linked or decided of in one step; some 0.2 ms. */
const PLACED_PER_STEP = 16;

/** A resource, and which nodes get it. */
export interface SubsetEntry {
  stored: StoredResource;
  condition: ConditionId;
  /** Of a graph. */
  links: EntryLinks | null;
}

export type SubsetTables = ReadonlyMap<StoredKind, Map<string, SubsetEntry>>;

interface EntryLinks {
  /** As they were when it was linked. */
  readonly stored: StoredResource;
  /** Where it and all that it cannot do without may be. */
  fit: ConjunctionId | null;
  gift: Gift | null;
}

/** What an entry refers to, and where it is: so what it refers to has to be there, too. */
interface Gift {
  readonly condition: ConditionId;
  readonly names: readonly string[];
}

/** Each after all that decide of it. */
const ORDER: readonly StoredKind[] = [
  ...(["route", "service", "upstream", "certificate", "ca_certificate", "sni"] as const),
  ...(["target", "health_override", "ticket_key"] as const),
];

/**
 * Which nodes get which resources, by the selectors of routes, services and upstreams and by who refers to whom:
 *
 * - A route, service or upstream is where its own selector matches and those of all that it leads to: nothing is ever
 *   without what it needs.
 * - A service is needed where a route of it is, an upstream where a service is that names it; one that nobody refers
 *   to is where its selector matches, unless a private key would have to come along.
 * - Certificates and authorities are only where something refers to them, or may be asked for under their names.
 * - Targets, server names and what people decided of targets are where that is to which they belong.
 *
 * Kept up to date change by change: what is worked out again is what changed, and what refers to it or is referred to.
 */
export class SubsetGraph {
  readonly #tables: SubsetTables;
  readonly #conditions: NodeConditions;
  /** By what they refer to by id. */
  readonly #referrers = new Map<string, Set<SubsetEntry>>();
  readonly #servicesByHost = new Map<string, Set<SubsetEntry>>();
  readonly #upstreamByName = new Map<string, SubsetEntry>();
  readonly #demand = new ReferenceDemand();
  readonly #certificates = new CertificateDemand();
  readonly #unfit = new Map<StoredKind, Set<SubsetEntry>>();
  readonly #dirty = new Map<StoredKind, Set<SubsetEntry>>(ORDER.map((kind) => [kind, new Set()]));
  readonly #onChange: (entry: SubsetEntry) => void;

  /**
   * Empty until it is built.
   * @param onChange told of an entry whose condition is about to change
   */
  constructor(tables: SubsetTables, conditions: NodeConditions, onChange: (entry: SubsetEntry) => void) {
    this.#tables = tables;
    this.#conditions = conditions;
    this.#onChange = onChange;
    for (const kind of ["upstream", "service", "route"] as const) this.#unfit.set(kind, new Set());
  }

  /** Takes in all entries of the tables, in steps; see `updateSteps`. */
  *buildSteps(): Generator<void, void> {
    const all = [...this.#tables.values()].flatMap((table) => [...table.values()]);
    for (const entry of all) entry.links = null;
    yield* this.updateSteps([], all);
  }

  /**
   * Brings the conditions of all entries up to date; before the last step some are, and some are not.
   * @param gone entries that are in the tables no longer
   * @param changed entries of which another resource is there than before, or that are new
   */
  *updateSteps(gone: readonly SubsetEntry[], changed: readonly SubsetEntry[]): Generator<void, void> {
    let count = 0;
    for (const entry of gone) {
      if (++count % PLACED_PER_STEP === 0) yield;
      this.#takeBack(entry);
      this.#unlink(entry);
    }
    for (const link of [(entry: SubsetEntry) => this.#unlink(entry), (entry: SubsetEntry) => this.#link(entry)]) {
      for (const entry of changed) {
        if (++count % PLACED_PER_STEP === 0) yield;
        link(entry);
      }
    }
    yield* this.#fit();
    for (const kind of ORDER) {
      if (kind === "certificate") yield* this.#markCertificates();
      for (const entry of this.#dirty.get(kind)!) {
        if (++count % PLACED_PER_STEP === 0) yield;
        if (this.#isThere(entry)) this.#decide(entry);
      }
      this.#dirty.get(kind)!.clear();
    }
  }

  /** Those that refer to a resource by its id. */
  *referrers(kind: StoredKind, id: string): Iterable<SubsetEntry> {
    yield* this.#referrers.get(nameOf(kind, id)) ?? [];
  }

  #isThere(entry: SubsetEntry): boolean {
    return this.#tables.get(entry.stored.kind)!.get(entry.stored.id) === entry;
  }

  #link(entry: SubsetEntry): void {
    const { stored, links } = entry;
    if (
      isOfKind(stored, "route") &&
      links !== null &&
      !isSameList(namesServedBy(links.stored), serverNamesOf(stored.message))
    )
      this.#takeBack(entry);
    entry.links = { stored, fit: links?.fit ?? null, gift: links?.gift ?? null };
    for (const { toKind, toId } of referencesOf(stored)) addTo(this.#referrers, nameOf(toKind, toId), entry);
    if (isOfKind(stored, "service")) addTo(this.#servicesByHost, stored.message.host, entry);
    if (isOfKind(stored, "upstream")) {
      this.#upstreamByName.set(stored.message.name, entry);
      this.#markUnfit("service", this.#servicesByHost.get(stored.message.name));
    }
    if (isOfKind(stored, "sni")) {
      this.#certificates.addName(stored.message.name, stored.message.certificate!.id);
      this.#mark("certificate", stored.message.certificate!.id);
    }
    this.#unfit.get(stored.kind)?.add(entry);
    this.#dirty.get(stored.kind)!.add(entry);
  }

  #unlink(entry: SubsetEntry): void {
    if (entry.links === null) return;
    const { stored } = entry.links;
    for (const { toKind, toId } of referencesOf(stored)) removeFrom(this.#referrers, nameOf(toKind, toId), entry);
    if (isOfKind(stored, "service")) removeFrom(this.#servicesByHost, stored.message.host, entry);
    if (isOfKind(stored, "upstream")) {
      if (this.#upstreamByName.get(stored.message.name) === entry) this.#upstreamByName.delete(stored.message.name);
      this.#markUnfit("service", this.#servicesByHost.get(stored.message.name));
    }
    if (isOfKind(stored, "sni")) {
      this.#certificates.removeName(stored.message.name, stored.message.certificate!.id);
      this.#mark("certificate", stored.message.certificate!.id);
    }
  }

  /** Works out where those may be that changed, or lead to what changed. */
  *#fit(): Generator<void, void> {
    yield* this.#fitEach("upstream", () => NO_SELECTOR);
    yield* this.#fitEach("service", ({ stored }) => {
      const host = isOfKind(stored, "service") ? stored.message.host : "";
      return this.#upstreamByName.get(host)?.links?.fit ?? NO_SELECTOR;
    });
    yield* this.#fitEach("route", ({ stored }) => {
      const service = isOfKind(stored, "route") ? stored.message.service?.id : undefined;
      const entry = service === undefined ? undefined : this.#tables.get("service")!.get(service);
      return entry?.links?.fit ?? NO_SELECTOR;
    });
  }

  *#fitEach(
    kind: "upstream" | "service" | "route",
    fitOfNeeded: (entry: SubsetEntry) => ConjunctionId,
  ): Generator<void, void> {
    let count = 0;
    for (const entry of this.#unfit.get(kind)!) {
      if (++count % PLACED_PER_STEP === 0) yield;
      if (!this.#isThere(entry)) continue;
      const { stored, links } = entry;
      const fit = this.#conditions.allOf(
        (stored as StoredResource<typeof kind>).message.nodeSelector,
        fitOfNeeded(entry),
      );
      // A service may name another upstream than before, which may be just as fit.
      this.#dirty.get(kind)!.add(entry);
      if (fit === links!.fit) continue;
      links!.fit = fit;
      if (isOfKind(stored, "upstream")) this.#markUnfit("service", this.#servicesByHost.get(stored.message.name));
      if (kind === "service") this.#markUnfit("route", this.#referrers.get(nameOf(kind, stored.id)));
    }
    this.#unfit.get(kind)!.clear();
  }

  /** Works out where an entry is, and has what it refers to and what belongs to it follow. */
  #decide(entry: SubsetEntry): void {
    const condition = this.#conditionOf(entry);
    const names = this.#namesNeededBy(entry.stored);
    const { gift } = entry.links!;
    if (gift?.condition !== condition || !isSameList(gift.names, names)) {
      this.#takeBack(entry);
      this.#give(entry, { condition, names });
    }
    if (condition === entry.condition) return;
    this.#onChange(entry);
    entry.condition = condition;
    for (const belonging of this.#referrers.get(nameOf(entry.stored.kind, entry.stored.id)) ?? [])
      if (isBelonging(belonging.stored.kind)) this.#dirty.get(belonging.stored.kind)!.add(belonging);
  }

  #conditionOf({ stored, links }: SubsetEntry): ConditionId {
    const { kind, id } = stored;
    if (kind === "ticket_key") return EVERYWHERE;
    if (kind === "route") return this.#conditions.anyOf([links!.fit!]);
    if (isBelonging(kind)) {
      const owner = referencesOf(stored)[0]!;
      return this.#tables.get(owner.toKind)!.get(owner.toId)?.condition ?? NOWHERE;
    }
    const name = nameOf(kind, id);
    const alternatives = this.#demand.alternatives(name);
    if (kind === "certificate")
      return this.#conditions.anyOf([...alternatives, ...this.#certificates.alternatives(id)]);
    if (kind === "ca_certificate" || this.#demand.isWanted(name)) return this.#conditions.anyOf(alternatives);
    const bringsKey = (stored as StoredResource<"service" | "upstream">).message.clientCertificate !== undefined;
    return bringsKey ? NOWHERE : this.#conditions.anyOf([links!.fit!]);
  }

  #namesNeededBy(stored: StoredResource): readonly string[] {
    if (isBelonging(stored.kind)) return [];
    const names = referencesOf(stored).map(({ toKind, toId }) => nameOf(toKind, toId));
    if (isOfKind(stored, "service")) {
      const upstream = this.#upstreamByName.get(stored.message.host);
      if (upstream !== undefined) names.push(nameOf("upstream", upstream.stored.id));
    }
    return names;
  }

  #give(entry: SubsetEntry, gift: Gift): void {
    const alternatives = this.#conditions.alternatives(gift.condition);
    entry.links!.gift = gift;
    for (const name of gift.names) if (this.#demand.give(name, alternatives)) this.#markNamed(name);
    if (isOfKind(entry.stored, "route")) this.#certificates.give(entry.stored, alternatives);
  }

  #takeBack({ stored, links }: SubsetEntry): void {
    if (links?.gift == null) return;
    const alternatives = this.#conditions.alternatives(links.gift.condition);
    for (const name of links.gift.names) if (this.#demand.withdraw(name, alternatives)) this.#markNamed(name);
    if (stored.kind === "route") this.#certificates.withdraw(stored.id, alternatives);
    links.gift = null;
  }

  *#markCertificates(): Generator<void, void> {
    for (const id of yield* this.#certificates.takeChanged()) this.#mark("certificate", id);
  }

  #markNamed(name: string): void {
    const at = name.indexOf(" ");
    this.#mark(name.slice(0, at) as StoredKind, name.slice(at + 1));
  }

  #mark(kind: StoredKind, id: string): void {
    const entry = this.#tables.get(kind)!.get(id);
    if (entry !== undefined) this.#dirty.get(kind)!.add(entry);
  }

  #markUnfit(kind: "service" | "route", entries: Iterable<SubsetEntry> = []): void {
    for (const entry of entries) if (entry.stored.kind === kind) this.#unfit.get(kind)!.add(entry);
  }
}

/** Whether resources of a kind are wherever what they refer to is, and no reason for that to be there. */
function isBelonging(kind: StoredKind): boolean {
  return kind === "target" || kind === "sni" || kind === "health_override";
}

function nameOf(kind: StoredKind, id: string): string {
  return `${kind} ${id}`;
}

function namesServedBy(stored: StoredResource): readonly string[] {
  return isOfKind(stored, "route") ? serverNamesOf(stored.message) : [];
}

function addTo(sets: Map<string, Set<SubsetEntry>>, name: string, entry: SubsetEntry): void {
  const set = sets.get(name);
  if (set === undefined) sets.set(name, new Set([entry]));
  else set.add(entry);
}

function removeFrom(sets: Map<string, Set<SubsetEntry>>, name: string, entry: SubsetEntry): void {
  const set = sets.get(name);
  set?.delete(entry);
  if (set?.size === 0) sets.delete(name);
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((name, i) => name === right[i]);
}
