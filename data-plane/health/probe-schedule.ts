import { DueHeap } from "./due-heap.ts";

/** How an endpoint is to be probed. */
export interface ProbeNeed {
  /** Equal for endpoints, of whatever pools, that one probe tells about. */
  readonly probeKey: string;
  readonly poolKey: string;
  /** Probes of the pool under way at once. */
  readonly concurrency: number;
  /** 0 = not now. */
  readonly intervalMs: number;
  /** Share of the interval by which a probe may be late, at random. */
  readonly jitterRatio: number;
  /** The first probe comes within a second, if the interval is longer: nobody is served before it. */
  readonly isUrgent: boolean;
}

/** A probe to be sent now, and the rows of the endpoints that it tells about. */
export interface DueProbe {
  readonly probeKey: string;
  readonly rows: readonly number[];
}

interface Subscription {
  need: ProbeNeed;
  readonly prober: Prober;
  /** When its next probe is due, before jitter. */
  slotMs: number;
}

/** One (address, check). */
interface Prober {
  readonly probeKey: string;
  /** Where in an interval its slots lie, 0 to 1. */
  readonly phase: number;
  readonly rows: Map<number, Subscription>;
  state: "waiting" | "queued" | "running";
  /** Entries of the heap that are older than this say nothing. */
  version: number;
  /** The pool in whose name it runs. */
  poolKey: string;
}

interface PoolQueue {
  readonly probers: Prober[];
  runningCount: number;
  concurrency: number;
  /** Endpoints of the pool that are to be probed. */
  rowCount: number;
}

/** So that successive probers lie as far apart as can be, however many there are: the golden ratio's fraction. */
const phaseStep = (Math.sqrt(5) - 1) / 2;
const urgentMs = 1_000;

/**
 * Which endpoints, known by their rows, are probed when. A prober's slots lie on a fixed grid of its interval, each
 * prober's at a place of its own, so that probes are spread over the interval however many there are and whatever
 * happens to them; jitter makes a probe late, and moves no slot after it. Endpoints of several pools that need the same
 * probe share it, and each is told at its own slots.
 * Knows no clock and no randomness: both are arguments (`random` in [0, 1)).
 */
export class ProbeSchedule {
  readonly #probesMax: number;
  readonly #probers = new Map<string, Prober>();
  readonly #byRow = new Map<number, Subscription>();
  readonly #heap = new DueHeap<{ readonly prober: Prober; readonly version: number }>();
  readonly #pools = new Map<string, PoolQueue>();
  /** Pools that have probers queued. */
  readonly #waitingPools = new Set<string>();
  #runningCount = 0;
  #nextPhase: number;

  /** @param probesMax probes under way at once @param firstPhase 0 to 1, so that nodes do not probe in step */
  constructor(probesMax: number, firstPhase: number) {
    this.#probesMax = probesMax;
    this.#nextPhase = firstPhase;
  }

  get proberCount(): number {
    return this.#probers.size;
  }

  get runningCount(): number {
    return this.#runningCount;
  }

  /** The endpoint is probed like this from now on; what was planned stands as far as it is the same. */
  set(row: number, need: ProbeNeed, nowMs: number, random: number): void {
    const known = this.#byRow.get(row);
    if (known !== undefined && known.need.probeKey === need.probeKey) {
      const isSame = known.need.intervalMs === need.intervalMs && known.need.jitterRatio === need.jitterRatio;
      known.need = need;
      this.#pool(need.poolKey).concurrency = need.concurrency;
      if (isSame) return;
      known.slotMs = nextSlotMs(nowMs, known.prober.phase, need.intervalMs);
      this.#arm(known.prober, random);
      return;
    }
    this.remove(row, random);
    const prober = this.#proberOf(need);
    const firstMs = need.isUrgent ? Math.min(need.intervalMs, urgentMs) : need.intervalMs;
    const subscription = { need, prober, slotMs: nextSlotMs(nowMs, prober.phase, firstMs) };
    this.#byRow.set(row, subscription);
    prober.rows.set(row, subscription);
    const pool = this.#pool(need.poolKey);
    pool.concurrency = need.concurrency;
    pool.rowCount++;
    this.#arm(prober, random);
  }

  /** The endpoint is probed no more. */
  remove(row: number, random: number): void {
    const known = this.#byRow.get(row);
    if (known === undefined) return;
    const { prober, need } = known;
    this.#byRow.delete(row);
    this.#pool(need.poolKey).rowCount--;
    prober.rows.delete(row);
    if (prober.rows.size > 0) this.#arm(prober, random);
    else if (prober.state !== "running") this.#drop(prober);
    this.#dropIfIdle(need.poolKey);
  }

  /** Probes that are due and for which there is room; each counts as under way until `finished`. */
  takeDue(nowMs: number): DueProbe[] {
    for (let due = this.#heap.takeDue(nowMs); due !== null; due = this.#heap.takeDue(nowMs)) {
      const { prober, version } = due;
      if (prober.version !== version || prober.state !== "waiting") continue;
      prober.state = "queued";
      this.#pool(prober.poolKey).probers.push(prober);
      this.#waitingPools.add(prober.poolKey);
    }
    const started: DueProbe[] = [];
    for (const poolKey of [...this.#waitingPools]) {
      if (this.#runningCount >= this.#probesMax) break;
      this.#waitingPools.delete(poolKey);
      this.#startQueued(this.#pool(poolKey), nowMs, started);
      // Behind the others: no pool is to take all the room.
      if (this.#pool(poolKey).probers.length > 0) this.#waitingPools.add(poolKey);
    }
    return started;
  }

  #startQueued(pool: PoolQueue, nowMs: number, started: DueProbe[]): void {
    while (pool.probers.length > 0 && pool.runningCount < pool.concurrency && this.#runningCount < this.#probesMax) {
      const prober = pool.probers.shift()!;
      const rows = [...prober.rows].filter(([, { need, slotMs }]) => need.intervalMs > 0 && slotMs <= nowMs);
      prober.state = "running";
      pool.runningCount++;
      this.#runningCount++;
      started.push({ probeKey: prober.probeKey, rows: rows.map(([row]) => row) });
    }
  }

  /** A probe that was due has ended. */
  finished(probeKey: string, nowMs: number, random: number): void {
    const prober = this.#probers.get(probeKey);
    if (prober === undefined) return;
    this.#runningCount--;
    this.#pool(prober.poolKey).runningCount--;
    this.#dropIfIdle(prober.poolKey);
    prober.state = "waiting";
    if (prober.rows.size === 0) {
      this.#drop(prober);
      return;
    }
    for (const subscription of prober.rows.values()) {
      if (subscription.slotMs > nowMs) continue;
      subscription.slotMs = nextSlotMs(nowMs, prober.phase, subscription.need.intervalMs);
    }
    this.#arm(prober, random);
  }

  /** When to look next; null when nothing is due before some probe has ended. */
  nextDueAtMs(): number | null {
    return this.#heap.nextAtMs;
  }

  #proberOf({ probeKey, poolKey }: ProbeNeed): Prober {
    const known = this.#probers.get(probeKey);
    if (known !== undefined) return known;
    const prober: Prober = {
      probeKey,
      phase: this.#nextPhase % 1,
      rows: new Map(),
      state: "waiting",
      version: 0,
      poolKey,
    };
    this.#nextPhase = (this.#nextPhase + phaseStep) % 1;
    this.#probers.set(probeKey, prober);
    return prober;
  }

  /** Plans the prober's next probe, unless one is on its way already. */
  #arm(prober: Prober, random: number): void {
    if (prober.state !== "waiting") return;
    prober.version++;
    let first: Subscription | null = null;
    for (const subscription of prober.rows.values()) {
      if (subscription.need.intervalMs === 0) continue;
      if (first === null || subscription.slotMs < first.slotMs) first = subscription;
    }
    if (first === null) return;
    prober.poolKey = first.need.poolKey;
    const jitterMs = first.need.jitterRatio * first.need.intervalMs * random;
    this.#heap.push({ prober, version: prober.version }, first.slotMs + jitterMs);
  }

  #pool(poolKey: string): PoolQueue {
    const known = this.#pools.get(poolKey);
    if (known !== undefined) return known;
    const pool = { probers: [], runningCount: 0, concurrency: 1, rowCount: 0 };
    this.#pools.set(poolKey, pool);
    return pool;
  }

  #drop(prober: Prober): void {
    this.#probers.delete(prober.probeKey);
    prober.version++;
    if (prober.state !== "queued") return;
    const { probers } = this.#pool(prober.poolKey);
    probers.splice(probers.indexOf(prober), 1);
  }

  /** Pools come and go without a trace. */
  #dropIfIdle(poolKey: string): void {
    const pool = this.#pools.get(poolKey);
    if (pool === undefined || pool.rowCount + pool.runningCount + pool.probers.length > 0) return;
    this.#waitingPools.delete(poolKey);
    this.#pools.delete(poolKey);
  }
}

/** The first slot after an instant, on the grid of this interval. */
function nextSlotMs(afterMs: number, phase: number, intervalMs: number): number {
  if (intervalMs === 0) return Number.POSITIVE_INFINITY;
  return (Math.floor(afterMs / intervalMs - phase) + 1 + phase) * intervalMs;
}
