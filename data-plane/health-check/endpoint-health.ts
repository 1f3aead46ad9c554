import type { EndpointRow, EndpointRows } from "../upstream/endpoint-rows.ts";
import type { EndpointTable } from "../upstream/endpoint-table.ts";

/** Who decided what an endpoint is; "" = nobody has judged it yet. */
export type HealthSource = "active" | "passive" | "outlier" | "dns" | "manual" | "";

/** What the node sees of one endpoint, or of a target whose name has no address. */
export interface HealthView {
  /** "" where the endpoint is one of a service's own host. */
  readonly upstreamId: string;
  readonly upstreamName: string;
  /** "" where the endpoint is one of an upstream. Services with the same host have a view each. */
  readonly serviceId: string;
  readonly targetId: string;
  /** host:port as configured. */
  readonly target: string;
  /** ip:port; "" where the name has no address. */
  readonly address: string;
  /** Row in the endpoint table; -1 where the name has no address. */
  readonly row: number;
  /** Whether it gets requests. */
  readonly isHealthy: boolean;
  readonly source: HealthSource;
  /** In one sentence. */
  readonly reason: string;
  /** Since when it is so. */
  readonly sinceUnixMs: number;
  readonly weight: number;
  /** How often it went in or out since the node knows it. */
  readonly transitionCount: number;
  readonly probeSuccesses: number;
  readonly probeFailures: number;
  /** Whether a check of Kong's kind is configured that could take it out. */
  readonly isChecked: boolean;
  /** How the name was resolved, or why it was not. */
  readonly dns: string;
  /** Neither in the configuration nor in the DNS any more. */
  readonly isGone: boolean;
}

/** An endpoint that is to be told of. */
export interface SeenEndpoint {
  /** null: the target's name has no address. */
  readonly endpoint: EndpointRow | null;
  readonly facts: Pick<
    HealthView,
    "upstreamId" | "upstreamName" | "serviceId" | "targetId" | "target" | "address" | "weight" | "isChecked" | "dns"
  >;
}

export interface EndpointHealthOptions {
  readonly table: EndpointTable;
  readonly rows: EndpointRows;
  readonly nowUnixMs: () => number;
  /** An endpoint has gone in or out. */
  readonly onTransition: (view: HealthView) => void;
}

/** What is known of an endpoint beside its row; as long as the row is its own, so also while it is away for a while. */
interface Known {
  isHealthy: boolean;
  source: HealthSource;
  reason: string;
  sinceUnixMs: number;
  transitionCount: number;
  probeSuccesses: number;
  probeFailures: number;
  /** Why it is out by each that may take it out, as last told. */
  readonly reasons: { manual: string; outlier: string; checks: { source: "active" | "passive"; reason: string } };
}

/**
 * Remembers why endpoints are in or out, since when, and what has changed since somebody was last told. Whether an
 * endpoint is in, its row alone says.
 */
export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  readonly #known = new WeakMap<EndpointRow, Known>();
  /** By row, and by service where it is one's; names without address by their owner's ids. */
  readonly #seen = new Map<string, SeenEndpoint>();
  /** What is seen of each row. */
  readonly #keysByRow = new Map<number, string[]>();
  readonly #unresolvedSince = new Map<string, number>();
  readonly #changed = new Set<string>();
  /** Only their probes were counted. */
  readonly #counted = new Set<number>();
  #gone: HealthView[] = [];
  #transitionCount = 0;

  constructor(options: EndpointHealthOptions) {
    this.#options = options;
  }

  /** Of all endpoints since the node started. */
  get transitionCount(): number {
    return this.#transitionCount;
  }

  /**
   * Some are seen from now on in place of others; all others stay as they are. Whatever is seen of a row, of all services,
   * goes and comes together. Cost: some 6 us each, with what leads to it.
   */
  change(gone: readonly SeenEndpoint[], seen: readonly SeenEndpoint[]): void {
    const former = new Map(gone.map((one) => [keyOf(one), one]));
    for (const [key, { endpoint }] of former) {
      this.#seen.delete(key);
      if (endpoint !== null) this.#keysByRow.delete(endpoint.row);
    }
    for (const one of seen) {
      const { endpoint } = one;
      const key = keyOf(one);
      this.#seen.set(key, one);
      if (endpoint !== null) {
        this.#addKey(endpoint.row, key);
        // Known since now, if it was not before.
        this.#knownOf(endpoint);
      } else if (!this.#unresolvedSince.has(key)) this.#unresolvedSince.set(key, this.#options.nowUnixMs());
      const before = former.get(key);
      if (before?.endpoint !== endpoint || !isSameFacts(before.facts, one.facts)) this.#changed.add(key);
    }
    for (const [key, one] of former) {
      const successor = this.#seen.get(key);
      if (successor !== undefined && successor.endpoint === one.endpoint) continue;
      this.#gone.push({ ...this.#view(one), isGone: true });
      if (successor === undefined) this.#unresolvedSince.delete(key);
    }
  }

  #addKey(row: number, key: string): void {
    const keys = this.#keysByRow.get(row);
    if (keys === undefined) this.#keysByRow.set(row, [key]);
    else keys.push(key);
  }

  has(endpoint: EndpointRow): boolean {
    return this.#known.has(endpoint);
  }

  /** Endpoints that are there now. */
  endpoints(): EndpointRow[] {
    return [...new Set([...this.#seen.values()].flatMap(({ endpoint }) => endpoint ?? []))];
  }

  /** Something was said of the endpoint, for or against it; its row says so already. */
  told(endpoint: EndpointRow, source: Exclude<HealthSource, "" | "dns">, reason: string): void {
    const known = this.#knownOf(endpoint);
    if (source === "active" || source === "passive") known.reasons.checks = { source, reason };
    else known.reasons[source] = reason;
    this.#refresh(endpoint, known, { source, reason });
  }

  probed(endpoint: EndpointRow, isSuccess: boolean): void {
    const known = this.#knownOf(endpoint);
    if (isSuccess) known.probeSuccesses++;
    else known.probeFailures++;
    this.#counted.add(endpoint.row);
  }

  /** Endpoints that went in or out without anybody having said so: a worker may die between doing it and saying it. */
  untold(): EndpointRow[] {
    return this.endpoints().filter((endpoint) => {
      return this.#knownOf(endpoint).isHealthy === this.#options.table.isOut(endpoint.row);
    });
  }

  /** What was told of an endpoint, also of one of no upstream, and since when it is so; null where nothing was. */
  toldOf(endpoint: EndpointRow): Pick<HealthView, "source" | "reason" | "sinceUnixMs"> | null {
    return this.#known.get(endpoint) ?? null;
  }

  /** All that there is. */
  all(): HealthView[] {
    return [...this.#seen.values()].map((one) => this.#view(one));
  }

  /** How many there are, and how many of them get requests; names without an address count as one that gets none. */
  counts(): { readonly healthyCount: number; readonly count: number } {
    const { table } = this.#options;
    let healthyCount = 0;
    for (const { endpoint } of this.#seen.values()) if (endpoint !== null && !table.isOut(endpoint.row)) healthyCount++;
    return { healthyCount, count: this.#seen.size };
  }

  /** All that there is; what has changed until now counts as told. */
  takeAll(): HealthView[] {
    this.#changed.clear();
    this.#counted.clear();
    this.#gone = [];
    return this.all();
  }

  /** What has changed since the last call, what is gone first. @param withCounts also where only probes were counted */
  takeChanged(withCounts: boolean): HealthView[] {
    const keys = new Set(this.#changed);
    if (withCounts) for (const row of this.#counted) for (const key of this.#keysByRow.get(row) ?? []) keys.add(key);
    const views = [...keys].flatMap((key) => {
      const one = this.#seen.get(key);
      return one === undefined ? [] : [this.#view(one)];
    });
    const changed = [...this.#gone, ...views];
    if (withCounts) this.#counted.clear();
    for (const { row } of views) this.#counted.delete(row);
    this.#changed.clear();
    this.#gone = [];
    return changed;
  }

  #knownOf(endpoint: EndpointRow): Known {
    const known = this.#known.get(endpoint);
    if (known !== undefined) return known;
    const fresh: Known = {
      isHealthy: true,
      source: "",
      reason: "",
      sinceUnixMs: this.#options.nowUnixMs(),
      ...{ transitionCount: 0, probeSuccesses: 0, probeFailures: 0 },
      reasons: { manual: "", outlier: "", checks: { source: "passive", reason: "" } },
    };
    this.#known.set(endpoint, fresh);
    return fresh;
  }

  #refresh(endpoint: EndpointRow, known: Known, last: Pick<HealthView, "source" | "reason">): void {
    const { table, nowUnixMs, onTransition } = this.#options;
    const isHealthy = !table.isOut(endpoint.row);
    const { source, reason } = isHealthy ? last : this.#whyOut(endpoint.row, known);
    const isTransition = isHealthy !== known.isHealthy;
    if (!isTransition && source === known.source && reason === known.reason) return;
    Object.assign(known, { isHealthy, source, reason });
    const keys = this.#keysByRow.get(endpoint.row) ?? [];
    for (const key of keys) this.#changed.add(key);
    if (!isTransition) return;
    known.sinceUnixMs = nowUnixMs();
    known.transitionCount++;
    this.#transitionCount++;
    const seen = this.#seen.get(keys[0] ?? "");
    if (seen?.endpoint === endpoint) onTransition(this.#view(seen));
  }

  /** Of all that keep it out, who would keep it out longest. */
  #whyOut(row: number, { reasons }: Known): Pick<HealthView, "source" | "reason"> {
    const { table } = this.#options;
    if (table.has(row, "forced_out")) return { source: "manual", reason: reasons.manual };
    if (table.has(row, "unhealthy")) return reasons.checks;
    return { source: "outlier", reason: reasons.outlier };
  }

  #view(seen: SeenEndpoint): HealthView {
    const { endpoint, facts } = seen;
    if (endpoint === null) {
      const sinceUnixMs = this.#unresolvedSince.get(keyOf(seen)) ?? this.#options.nowUnixMs();
      const counts = { transitionCount: 0, probeSuccesses: 0, probeFailures: 0 };
      const reason = "the name has no address";
      return { ...facts, ...counts, row: -1, isHealthy: false, source: "dns", reason, sinceUnixMs, isGone: false };
    }
    const { reasons: _, ...known } = this.#knownOf(endpoint);
    return { ...facts, ...known, row: endpoint.row, isGone: false };
  }
}

function keyOf({ endpoint, facts: { upstreamId, serviceId, targetId } }: SeenEndpoint): string {
  return endpoint === null ? `${upstreamId} ${serviceId} ${targetId}` : `${endpoint.row} ${serviceId}`;
}

/** What is not in it, the key says. */
function isSameFacts(a: SeenEndpoint["facts"], b: SeenEndpoint["facts"]): boolean {
  return (
    a.weight === b.weight &&
    a.dns === b.dns &&
    a.isChecked === b.isChecked &&
    a.targetId === b.targetId &&
    a.target === b.target &&
    a.upstreamName === b.upstreamName
  );
}
