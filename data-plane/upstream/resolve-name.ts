import { isIP } from "node:net";
import { canonicalName, type NameAddresses } from "./hosts-file.ts";
import type { AddressFamilies, LookupAnswer, LookupKind } from "./lookup-name.ts";
import {
  mergeRecords,
  type NameAnswer,
  type NameDescription,
  type NamedEndpoint,
  type NameEntry,
  type NameState,
  nameState,
  newNameEntry,
  plainEndpoint,
  sourceOf,
} from "./name-entry.ts";
import {
  defaultNameLimits,
  type NameResolverLimits,
  type NameResolverOptions,
  type NameUse,
} from "./name-resolver-options.ts";
import type { AddressFamily } from "./race-families.ts";

/** A name as it is compared. The dot of the root stays: it says that the search domains are not meant. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/**
 * Keeps what names stand for current, in the background: no request ever waits for a lookup.
 * The hosts file comes before the DNS; IP literals and localhost need neither. The targets of SRV records are names like
 * others. Of a name with addresses of both families those of one are used. While nobody can answer, the last good answer stays
 * for `outageKeepMs`; while the DNS says that the name is gone or has no address, for `vanishedKeepMs`, since a name server
 * that forgets a name for a while is a more common thing than a name that is gone.
 */
export class NameResolver {
  readonly #options: NameResolverOptions;
  readonly #limits: NameResolverLimits;
  #uses: ReadonlyMap<string, NameUse> = new Map();
  readonly #entries = new Map<string, NameEntry>();
  readonly #queue: NameEntry[] = [];
  #waiting: (() => void)[] = [];
  /** Entries that were not answered yet. */
  #openCount = 0;
  #lookupCount = 0;
  #raceCount = 0;
  #isClosed = false;

  constructor(options: NameResolverOptions) {
    this.#options = options;
    this.#limits = { ...defaultNameLimits, ...options.limits };
  }

  /** Keeps these names current from now on, and no others. */
  keep(uses: Iterable<NameUse>): void {
    const wanted = new Map<string, NameUse>();
    for (const use of uses)
      if (isIP(use.host) === 0 && !wanted.has(nameKey(use.host))) wanted.set(nameKey(use.host), use);
    this.#uses = wanted;
    this.#keepWanted();
  }

  /** The endpoints that a kept name stands for, in stable order; empty while there are none. */
  endpointsOf(name: string): readonly NamedEndpoint[] {
    if (isIP(name) !== 0) return [plainEndpoint(name)];
    const entry = this.#entries.get(nameKey(name));
    if (entry === undefined) return [];
    if (entry.answer?.type !== "services") return entry.addresses.map(plainEndpoint);
    return entry.answer.records.flatMap(({ target, port, weight }) => {
      const addresses = this.#entries.get(targetKey(target))?.addresses ?? [];
      return addresses.map((address) => ({
        address,
        port: port || null,
        weight,
        sharedBy: addresses.length,
        serviceTarget: target,
      }));
    });
  }

  /** How a name was resolved, or why it was not. */
  describe(name: string): NameDescription {
    if (isIP(name) !== 0) return { source: "literal", error: null };
    const entry = this.#entries.get(nameKey(name));
    if (entry === undefined) return { source: null, error: null };
    const error = entry.error ?? this.#targetsOf(entry).find((target) => target.error !== null)?.error ?? null;
    return { source: sourceOf(entry), error };
  }

  /** All kept names, and the targets of SRV records. */
  states(): NameState[] {
    const nowMs = this.#options.timers.nowMs();
    return [...this.#entries.values()].map((entry) => nameState(entry, nowMs));
  }

  /** Resolves when each of the kept names has been looked up once, or when `timeoutMs` is over. */
  async firstAnswers(timeoutMs: number): Promise<void> {
    if (this.#openCount === 0) return;
    let cancel = () => {};
    await new Promise<void>((done) => {
      this.#waiting.push(done);
      cancel = this.#options.timers.after(timeoutMs, done);
    });
    cancel();
  }

  /** Looks a name up before its time, since its addresses seem wrong; at most once per `ttlFloorMs`. */
  refresh(name: string): void {
    const entry = this.#entries.get(nameKey(name));
    if (entry === undefined) return;
    for (const one of [entry, ...this.#targetsOf(entry)]) this.#refreshEntry(one);
  }

  /** The hosts file, or the configuration of the resolver, has changed: all names are resolved anew. */
  configChanged(): void {
    for (const entry of this.#entries.values()) if (!entry.isLookingUp) this.#resolve(entry);
  }

  close(): void {
    this.#isClosed = true;
    this.#uses = new Map();
    this.#keepWanted();
    this.#wakeWaiting();
  }

  #refreshEntry(entry: NameEntry): void {
    entry.isDoubted = true;
    if (entry.isLookingUp) return;
    const sinceMs = this.#options.timers.nowMs() - entry.lookedUpAtMs;
    if (sinceMs >= this.#limits.ttlFloorMs) this.#resolve(entry);
    else this.#resolveAfter(entry, this.#limits.ttlFloorMs - sinceMs);
  }

  /** Makes the entries those of the names in use and of the targets that these have, as far as is known. */
  #keepWanted(): void {
    const wanted = new Map<string, { name: string; port: number; kind: LookupKind }>();
    for (const [key, { port }] of this.#uses) {
      wanted.set(key, { name: key, port, kind: this.#kindOf(key) });
      const answer = this.#entries.get(key)?.answer;
      for (const record of answer?.type === "services" ? answer.records : []) {
        const target = { name: record.target, port: record.port || port, kind: "host" as const };
        if (!wanted.has(targetKey(record.target))) wanted.set(targetKey(record.target), target);
      }
    }
    for (const entry of this.#entries.values()) if (!wanted.has(entry.key)) this.#drop(entry);
    for (const [key, { name, port, kind }] of wanted) {
      const known = this.#entries.get(key);
      if (known !== undefined) {
        known.port = port;
        continue;
      }
      const entry = newNameEntry(key, name, kind, port);
      this.#entries.set(key, entry);
      this.#openCount++;
      this.#resolve(entry);
    }
    this.#wakeWaiting();
  }

  #kindOf(key: string): LookupKind {
    if (/^_[^.]+\._[^.]+\../.test(key)) return "service";
    return this.#options.everyNameMayBeService === true ? "service_or_host" : "host";
  }

  #targetsOf({ answer }: NameEntry): NameEntry[] {
    if (answer?.type !== "services") return [];
    return answer.records
      .map(({ target }) => this.#entries.get(targetKey(target)))
      .filter((entry) => entry !== undefined);
  }

  #drop(entry: NameEntry): void {
    entry.cancelTimer();
    this.#entries.delete(entry.key);
    this.#markAnswered(entry);
  }

  #resolve(entry: NameEntry): void {
    entry.cancelTimer();
    const local = this.#localAddresses(entry);
    if (local !== null) {
      // Looked at again when the file changes, so no timer.
      entry.dueAtMs = null;
      this.#succeed(entry, { type: "addresses", from: "hosts", all: local });
      return;
    }
    entry.isLookingUp = true;
    this.#queue.push(entry);
    this.#startLookups();
  }

  /** RFC 6761, section 6.3: localhost and the names below it never reach a name server. */
  #localAddresses({ name }: NameEntry): NameAddresses | null {
    const plain = canonicalName(name);
    const listed = this.#options.hosts.addressesOf(plain);
    const { families } = this.#options;
    if (listed !== null && hasAllowed(listed, families)) return listed;
    if (plain !== "localhost" && !plain.endsWith(".localhost")) return null;
    return families === "ipv6" ? { v4: [], v6: ["::1"] } : { v4: ["127.0.0.1"], v6: [] };
  }

  #startLookups(): void {
    while (this.#lookupCount < this.#limits.lookupsMax) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      // Dropped while it waited.
      if (this.#entries.get(entry.key) !== entry) continue;
      this.#lookupCount++;
      void this.#options.lookup(entry.name, entry.kind).then((answer) => {
        this.#lookupCount--;
        if (!this.#isClosed) this.#finish(entry, answer);
        this.#startLookups();
      });
    }
  }

  #finish(entry: NameEntry, answer: LookupAnswer): void {
    if (this.#entries.get(entry.key) !== entry) return;
    entry.isLookingUp = false;
    entry.lookedUpAtMs = this.#options.timers.nowMs();
    // The hosts file may have come to list the name meanwhile; it has the say.
    if (this.#localAddresses(entry) !== null) {
      this.#resolve(entry);
    } else if (answer.type === "addresses" || answer.type === "services") {
      const { ttlFloorMs, ttlCeilingMs, addressesMax } = this.#limits;
      this.#resolveAfter(entry, Math.min(Math.max(answer.ttlMs, ttlFloorMs), ttlCeilingMs));
      // Name servers rotate their answers: sorted, so that a rotation is no change.
      const sorted = (list: readonly string[]) => [...new Set(list)].sort().slice(0, addressesMax);
      if (answer.type === "services") {
        this.#succeed(entry, { type: "services", records: mergeRecords(answer.records).slice(0, addressesMax) });
      } else {
        const all = { v4: sorted(answer.v4), v6: sorted(answer.v6) };
        this.#succeed(entry, { type: "addresses", from: "dns", all });
      }
    } else this.#fail(entry, answer);
  }

  #succeed(entry: NameEntry, answer: NameAnswer): void {
    if (entry.error !== null) this.#options.onRecovery?.(entry.name);
    Object.assign(entry, { failureCount: 0, vanishedAtMs: null, failingSinceMs: null, error: null });
    const former = entry.answer;
    entry.answer = answer;
    if (answer.type === "services") {
      const isSame = former?.type === "services" && JSON.stringify(former.records) === JSON.stringify(answer.records);
      entry.addresses = [];
      if (!isSame) this.#keepWanted();
      this.#adopted(entry, !isSame);
      return;
    }
    if (former?.type === "services") this.#keepWanted();
    const wantsRace = this.#wantsRace(entry, answer.all);
    if (wantsRace) this.#startRace(entry, answer.all);
    // A name without addresses waits for its race, which is short; others go on with the family that they have.
    if (!wantsRace || entry.addresses.length > 0) this.#adoptFamily(entry);
  }

  #wantsRace(entry: NameEntry, { v4, v6 }: NameAddresses): boolean {
    if (this.#options.families !== "fastest" || v4.length === 0 || v6.length === 0 || entry.isRacing) return false;
    // So many at once are enough; whoever is left out has its turn at the next lookup.
    if (this.#raceCount >= this.#limits.lookupsMax) return false;
    const sinceMs = this.#options.timers.nowMs() - entry.racedAtMs;
    return sinceMs >= (entry.isDoubted ? this.#limits.ttlFloorMs : this.#limits.raceIntervalMs);
  }

  #startRace(entry: NameEntry, addresses: NameAddresses): void {
    entry.isRacing = true;
    entry.isDoubted = false;
    this.#raceCount++;
    const { port, family } = entry;
    void this.#options.race({ addresses, port, incumbent: family }).then((winner) => {
      this.#raceCount--;
      entry.isRacing = false;
      entry.racedAtMs = this.#options.timers.nowMs();
      if (this.#isClosed || this.#entries.get(entry.key) !== entry) return;
      entry.family = winner ?? entry.family;
      if (entry.answer?.type === "addresses") this.#adoptFamily(entry);
    });
  }

  /** Uses the addresses of the family that was found to be better, or of the one that there is. */
  #adoptFamily(entry: NameEntry): void {
    const { families } = this.#options;
    const { all } = entry.answer as Extract<NameAnswer, { type: "addresses" }>;
    const preferred: AddressFamily = families === "fastest" ? (entry.family ?? 4) : families.startsWith("ipv6") ? 6 : 4;
    const [first, second] = preferred === 6 ? [all.v6, all.v4] : [all.v4, all.v6];
    const addresses = first.length > 0 ? first : second;
    entry.family = addresses === all.v6 ? 6 : 4;
    this.#adopt(entry, addresses);
  }

  #fail(entry: NameEntry, answer: Extract<LookupAnswer, { type: "not_found" | "failed" }>): void {
    this.#resolveAfter(entry, this.#retryDelayMs(entry, answer));
    entry.error = answer.type === "not_found" ? answer.reason : answer.message;
    entry.failingSinceMs ??= entry.lookedUpAtMs;
    if (this.#isTooOld(entry, answer.type)) {
      const isService = entry.answer?.type === "services";
      entry.answer = null;
      if (isService) {
        this.#keepWanted();
        this.#adopted(entry, true);
      } else this.#adopt(entry, []);
    } else this.#adopt(entry, entry.addresses);
    const isNew = entry.failingSinceMs === entry.lookedUpAtMs;
    this.#options.onProblem?.({ name: entry.name, problem: entry.error, keptAddresses: entry.addresses, isNew });
  }

  #retryDelayMs(entry: NameEntry, answer: LookupAnswer): number {
    const { notFoundRetryMs, ttlFloorMs, notFoundCeilingMs, failureRetryMs, failureRetryMaxMs } = this.#limits;
    if (answer.type === "not_found") {
      entry.failureCount = 0;
      return Math.min(Math.max(answer.ttlMs ?? notFoundRetryMs, ttlFloorMs), notFoundCeilingMs);
    }
    // A resolver that fails says nothing about the name.
    entry.vanishedAtMs = null;
    return Math.min(failureRetryMs * 2 ** entry.failureCount++, failureRetryMaxMs);
  }

  #isTooOld(entry: NameEntry, reason: "not_found" | "failed"): boolean {
    const { answer, lookedUpAtMs, failingSinceMs } = entry;
    if (reason === "not_found") entry.vanishedAtMs ??= lookedUpAtMs;
    // The file is no name server that forgets: a line taken out is meant so.
    if (reason === "not_found" && answer?.type === "addresses" && answer.from === "hosts") return true;
    const isGone = entry.vanishedAtMs !== null && lookedUpAtMs - entry.vanishedAtMs >= this.#limits.vanishedKeepMs;
    return isGone || lookedUpAtMs - failingSinceMs! >= this.#limits.outageKeepMs;
  }

  /** Up to a tenth early, so that names learnt at one moment are not all looked up again at one moment. */
  #resolveAfter(entry: NameEntry, delayMs: number): void {
    entry.cancelTimer();
    const { timers, random } = this.#options;
    const jittered = delayMs * (1 - random() / 10);
    entry.dueAtMs = timers.nowMs() + jittered;
    entry.cancelTimer = timers.after(jittered, () => this.#resolve(entry));
  }

  #adopt(entry: NameEntry, addresses: readonly string[]): void {
    const isSame =
      addresses.length === entry.addresses.length && addresses.every((address, i) => address === entry.addresses[i]);
    entry.addresses = addresses;
    this.#adopted(entry, !isSame);
  }

  #adopted(entry: NameEntry, hasChanged: boolean): void {
    this.#markAnswered(entry);
    if (hasChanged) {
      if (this.#uses.has(entry.key)) this.#options.onChange(entry.key);
      for (const name of this.#servicesWith(entry)) this.#options.onChange(name);
    }
    this.#wakeWaiting();
  }

  #markAnswered(entry: NameEntry): void {
    if (!entry.isAnswered) this.#openCount--;
    entry.isAnswered = true;
  }

  /** The names whose SRV records lead to the entry. */
  #servicesWith({ key }: NameEntry): string[] {
    // Of 10,000 names that change at one moment, only targets may look through all the others.
    if (!isTargetKey(key)) return [];
    const services = [...this.#entries.values()].filter(({ answer }) => {
      return answer?.type === "services" && answer.records.some(({ target }) => targetKey(target) === key);
    });
    return services.map((service) => service.key);
  }

  #wakeWaiting(): void {
    if (this.#openCount > 0) return;
    for (const done of this.#waiting.splice(0)) done();
  }
}

/** Targets of SRV records have entries of their own, beside the one of the same name that somebody may have configured. */
function targetKey(target: string): string {
  return `=${target}`;
}

function isTargetKey(key: string): boolean {
  return key.startsWith("=");
}

/** Whether there is an address that the families allow. */
function hasAllowed({ v4, v6 }: NameAddresses, families: AddressFamilies): boolean {
  if (families === "ipv4") return v4.length > 0;
  return families !== "ipv6" || v6.length > 0;
}
