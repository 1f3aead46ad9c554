import { isIP } from "node:net";
import { canonicalName, type HostsTable } from "./hosts-file.ts";
import type { LookupAddresses, LookupAnswer } from "./lookup-addresses.ts";
import type { Timers } from "./timers.ts";

export interface NameResolverOptions {
  readonly lookup: LookupAddresses;
  /** Asked before the DNS. */
  readonly hosts: HostsTable;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called when a name's addresses are other ones than before. */
  readonly onChange: (name: string) => void;
  /** Called when a lookup failed or a name is not there, with what is served meanwhile. */
  readonly onProblem?: (name: string, problem: string, keptAddresses: readonly string[]) => void;
  readonly limits?: Partial<NameResolverLimits>;
}

export interface NameResolverLimits {
  /** A shorter time to live is taken as this. */
  readonly ttlFloorMs: number;
  /** A longer time to live is taken as this. */
  readonly ttlCeilingMs: number;
  /** How soon a name that is not there is asked for again. */
  readonly notFoundRetryMs: number;
  /** How soon a failed lookup is repeated; doubles with every further failure, up to `failureRetryMaxMs`. */
  readonly failureRetryMs: number;
  readonly failureRetryMaxMs: number;
  /** How long the last addresses of a name stay in force after the DNS began to say that it is not there. */
  readonly vanishedKeepMs: number;
  /** Lookups under way at once; others wait their turn. */
  readonly lookupsMax: number;
  /** Addresses used of one name. */
  readonly addressesMax: number;
}

/** A name that is kept current. */
interface Entry {
  readonly name: string;
  addresses: readonly string[];
  /** Whether the addresses are the hosts file's, and so end with their line in it. */
  isFromHosts: boolean;
  /** Whether a first lookup has ended, one way or the other. */
  isAnswered: boolean;
  isLookingUp: boolean;
  /** In a row. */
  failureCount: number;
  /** When the DNS began to say that the name is not there; null while it does not. */
  vanishedAtMs: number | null;
  lookedUpAtMs: number;
  cancelTimer: () => void;
  readonly waiting: (() => void)[];
}

const DEFAULTS: NameResolverLimits = {
  ttlFloorMs: 1_000,
  ttlCeilingMs: 3_600_000,
  notFoundRetryMs: 5_000,
  failureRetryMs: 1_000,
  failureRetryMaxMs: 30_000,
  vanishedKeepMs: 3_600_000,
  lookupsMax: 64,
  addressesMax: 256,
};

/**
 * Keeps the addresses of names current, in the background: no request ever waits for a lookup.
 * The hosts file comes before the DNS; IP literals and localhost need neither. While nobody can answer, the
 * last good answer stays; while the DNS says that the name is gone, it stays for `vanishedKeepMs`, since a
 * name server that forgets a name for a while is a more common thing than a name that is gone.
 */
export class NameResolver {
  readonly #options: NameResolverOptions;
  readonly #limits: NameResolverLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #queue: Entry[] = [];
  #lookupCount = 0;
  #isClosed = false;

  constructor(options: NameResolverOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULTS, ...options.limits };
  }

  /** Keeps these names current from now on, and no others. */
  keep(names: Iterable<string>): void {
    const wanted = new Set([...names].map(canonicalName).filter((name) => isIP(name) === 0));
    for (const entry of this.#entries.values()) {
      if (!wanted.has(entry.name)) this.#drop(entry);
    }
    for (const name of wanted) {
      if (this.#entries.has(name)) continue;
      const entry = newEntry(name);
      this.#entries.set(name, entry);
      this.#resolve(entry);
    }
  }

  /** The addresses of a name that is kept, in stable order; empty while there are none. */
  addressesOf(name: string): readonly string[] {
    if (isIP(name) !== 0) return [name];
    return this.#entries.get(canonicalName(name))?.addresses ?? [];
  }

  /** Resolves when each of the kept names has been looked up once, or when `timeoutMs` is over. */
  async firstAnswers(timeoutMs: number): Promise<void> {
    const open = [...this.#entries.values()].filter((entry) => !entry.isAnswered);
    if (open.length === 0) return;
    const answered = Promise.all(open.map((entry) => new Promise<void>((done) => entry.waiting.push(done))));
    let cancel = () => {};
    const timeout = new Promise<void>((done) => {
      cancel = this.#options.timers.after(timeoutMs, done);
    });
    await Promise.race([answered, timeout]);
    cancel();
  }

  /** Looks a name up before its time, since its addresses seem wrong; at most once per `ttlFloorMs`. */
  refresh(name: string): void {
    const entry = this.#entries.get(canonicalName(name));
    if (entry === undefined || entry.isLookingUp) return;
    const sinceMs = this.#options.timers.nowMs() - entry.lookedUpAtMs;
    if (sinceMs >= this.#limits.ttlFloorMs) this.#resolve(entry);
    else this.#resolveAfter(entry, this.#limits.ttlFloorMs - sinceMs);
  }

  /** The hosts file has changed: names that it lists, or no longer lists, are resolved anew. */
  hostsChanged(): void {
    for (const entry of this.#entries.values()) {
      if (!entry.isLookingUp) this.#resolve(entry);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const entry of [...this.#entries.values()]) this.#drop(entry);
  }

  #drop(entry: Entry): void {
    entry.cancelTimer();
    this.#entries.delete(entry.name);
    markAnswered(entry);
  }

  #resolve(entry: Entry): void {
    entry.cancelTimer();
    const local = this.#options.hosts.addressesOf(entry.name) ?? loopbackOf(entry.name);
    if (local !== null) {
      // Looked at again when the file changes, so no timer.
      entry.failureCount = 0;
      entry.vanishedAtMs = null;
      entry.isFromHosts = true;
      this.#adopt(entry, local);
      return;
    }
    entry.isLookingUp = true;
    this.#queue.push(entry);
    this.#startLookups();
  }

  #startLookups(): void {
    while (this.#lookupCount < this.#limits.lookupsMax) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      // Dropped while it waited.
      if (this.#entries.get(entry.name) !== entry) continue;
      this.#lookupCount++;
      void this.#options.lookup(entry.name).then((answer) => {
        this.#lookupCount--;
        if (!this.#isClosed) this.#finish(entry, answer);
        this.#startLookups();
      });
    }
  }

  #finish(entry: Entry, answer: LookupAnswer): void {
    if (this.#entries.get(entry.name) !== entry) return;
    entry.isLookingUp = false;
    entry.lookedUpAtMs = this.#options.timers.nowMs();
    // The hosts file may have come to list the name meanwhile; it has the say.
    if (this.#options.hosts.addressesOf(entry.name) !== null) {
      this.#resolve(entry);
    } else if (answer.type === "found") {
      entry.failureCount = 0;
      entry.vanishedAtMs = null;
      entry.isFromHosts = false;
      const { ttlFloorMs, ttlCeilingMs, addressesMax } = this.#limits;
      this.#resolveAfter(entry, Math.min(Math.max(answer.ttlMs, ttlFloorMs), ttlCeilingMs));
      // Name servers rotate their answers: sorted, so that a rotation is no change.
      this.#adopt(entry, [...new Set(answer.addresses)].sort().slice(0, addressesMax));
    } else {
      this.#resolveAfter(entry, this.#retryDelayMs(entry, answer));
      const isGone = answer.type === "not_found" && this.#hasVanishedLongAgo(entry);
      this.#adopt(entry, isGone ? [] : entry.addresses);
      const problem = answer.type === "not_found" ? "no such name" : answer.message;
      this.#options.onProblem?.(entry.name, problem, entry.addresses);
    }
  }

  #retryDelayMs(entry: Entry, answer: LookupAnswer): number {
    const { notFoundRetryMs, failureRetryMs, failureRetryMaxMs } = this.#limits;
    if (answer.type === "not_found") {
      entry.failureCount = 0;
      return notFoundRetryMs;
    }
    // A resolver that fails says nothing about the name.
    entry.vanishedAtMs = null;
    return Math.min(failureRetryMs * 2 ** entry.failureCount++, failureRetryMaxMs);
  }

  #hasVanishedLongAgo(entry: Entry): boolean {
    entry.vanishedAtMs ??= entry.lookedUpAtMs;
    return entry.isFromHosts || entry.lookedUpAtMs - entry.vanishedAtMs >= this.#limits.vanishedKeepMs;
  }

  /** Up to a tenth early, so that names learnt at one moment are not all looked up again at one moment. */
  #resolveAfter(entry: Entry, delayMs: number): void {
    entry.cancelTimer();
    const jittered = delayMs * (1 - this.#options.random() / 10);
    entry.cancelTimer = this.#options.timers.after(jittered, () => this.#resolve(entry));
  }

  #adopt(entry: Entry, addresses: readonly string[]): void {
    const isSame =
      addresses.length === entry.addresses.length && addresses.every((address, i) => address === entry.addresses[i]);
    entry.addresses = addresses;
    markAnswered(entry);
    if (!isSame) this.#options.onChange(entry.name);
  }
}

function newEntry(name: string): Entry {
  return {
    name,
    addresses: [],
    isFromHosts: false,
    isAnswered: false,
    isLookingUp: false,
    failureCount: 0,
    vanishedAtMs: null,
    lookedUpAtMs: Number.NEGATIVE_INFINITY,
    cancelTimer: () => {},
    waiting: [],
  };
}

function markAnswered(entry: Entry): void {
  entry.isAnswered = true;
  for (const done of entry.waiting.splice(0)) done();
}

/** RFC 6761, section 6.3: localhost and the names below it never reach a name server. */
function loopbackOf(name: string): readonly string[] | null {
  return name === "localhost" || name.endsWith(".localhost") ? ["127.0.0.1"] : null;
}
