import type { StallConfig } from "../config/resilience-config.ts";
import type { Kept, KeptWaits } from "./kept-waits.ts";
import { LongestWait } from "./longest-wait.ts";

/** Fewer answers say nothing about how long a route's answers take. */
const samplesMin = 20;
/** An endpoint that has answered less often may be one that always takes its time. */
const ownSamplesMin = 5;
/** A silence in which nobody waited for longer than this is two. */
const gapMaxMs = 1_000;
const noRow = -1;
/** Long before any time that there is. */
export const neverMs = -(2 ** 30);

/** A request that was sent and waits for the first byte of its answer. Linked, so that both ends of a wait cost the same. */
export interface Waiting {
  waitingSinceMs: number;
  /** null while it waits for nothing. */
  waits: EndpointWaits | null;
  previousWaiting: Waiting | null;
  nextWaiting: Waiting | null;
}

export type PingState = "unasked" | "asked" | "alive" | "dead";

/**
 * The requests of one route that wait for one endpoint, in the order in which they began to. Times that each answer sets
 * are whole milliseconds, rounded up, for what longest-wait.ts says.
 */
export class EndpointWaits implements Kept {
  // What every request touches stands together: with many routes it is in no cache (bench W1r).
  first: Waiting | null = null;
  #last: Waiting | null = null;
  wasUsed = false;
  /** When it last began to answer a request of the route. */
  lastAnswerMs = neverMs;
  #answerCount = 0;
  /** Answers that the route had had from all its endpoints when this one answered last. */
  #routeCountBefore = 0;
  /** The server's word during this silence: asked whether it is there at all. */
  ping: PingState = "unasked";
  /** Requests that gave up waiting in this silence, since when the first of them waited, and when the last gave up. */
  #gaveUpCount = 0;
  readonly route: RouteWaits;
  #gaveUpAtMs = neverMs;
  #firstGaveUpSinceMs = 0;
  pingedAtMs = 0;
  readonly row: number;
  keptAt = -1;

  constructor(row: number, route: RouteWaits) {
    this.row = row;
    this.route = route;
  }

  get isInUse(): boolean {
    return this.first !== null;
  }

  begin(request: Waiting, nowMs: number): void {
    this.wasUsed = true;
    if (this.first === null && this.#isSilence && nowMs - this.#gaveUpAtMs > gapMaxMs) this.#silenceEnds();
    request.waits = this;
    request.waitingSinceMs = nowMs;
    request.nextWaiting = null;
    request.previousWaiting = this.#last;
    if (this.#last === null) this.first = request;
    else this.#last.nextWaiting = request;
    this.#last = request;
  }

  /** The request has no time left, or nobody who waits for it: that is nobody's fault, and no sign of life either. */
  gaveUp(request: Waiting, nowMs: number): void {
    if (this.#gaveUpCount++ === 0) this.#firstGaveUpSinceMs = request.waitingSinceMs;
    this.#gaveUpAtMs = Math.ceil(nowMs);
    this.end(request);
  }

  end(request: Waiting): void {
    const { previousWaiting, nextWaiting } = request;
    if (previousWaiting === null) this.first = nextWaiting;
    else previousWaiting.nextWaiting = nextWaiting;
    if (nextWaiting === null) this.#last = previousWaiting;
    else nextWaiting.previousWaiting = previousWaiting;
    request.waits = null;
    request.previousWaiting = null;
    request.nextWaiting = null;
  }

  forget(): void {
    this.route.forget(this);
  }

  /** The endpoint has begun to answer. */
  answered(request: Waiting, nowMs: number): void {
    this.end(request);
    const atMs = Math.ceil(nowMs);
    this.lastAnswerMs = atMs;
    this.#answerCount++;
    this.#silenceEnds();
    this.route.add(nowMs - request.waitingSinceMs, nowMs);
    this.route.lastAnswerMs = atMs;
    this.#routeCountBefore = this.route.count;
  }

  get #isSilence(): boolean {
    return this.#gaveUpCount > 0 || this.ping !== "unasked";
  }

  #silenceEnds(): void {
    this.ping = "unasked";
    this.#gaveUpCount = 0;
  }

  /** For how long two or more requests, one after the other, waited in vain and gave up; 0 for fewer. */
  gaveUpForMs(nowMs: number): number {
    return this.#gaveUpCount < 2 ? 0 : nowMs - this.#firstGaveUpSinceMs;
  }

  /** Answers that other endpoints gave to the route's requests since this one's last. */
  get answersElsewhere(): number {
    return this.route.count - this.#routeCountBefore;
  }

  /** The silence that says that something is wrong; null while too little is known. */
  silenceLimitMs(config: StallConfig, nowMs: number): number | null {
    return this.#answerCount < ownSamplesMin ? null : this.route.silenceLimitMs(config, nowMs);
  }

  /** Requests that have waited for longer than `ms`; only those that began to at `sinceMs` or later. */
  countOver(ms: number, nowMs: number, sinceMs = neverMs): number {
    let count = 0;
    for (let each = this.first; each !== null && nowMs - each.waitingSinceMs > ms; each = each.nextWaiting) {
      if (each.waitingSinceMs >= sinceMs) count++;
    }
    return count;
  }
}

/** How long the answers of one route take, and who waits for them. */
export class RouteWaits extends LongestWait {
  /** When any endpoint last began to answer. */
  lastAnswerMs = neverMs;
  readonly kept: KeptWaits;
  /** The configuration has it no more: requests that go on leave nothing behind. */
  #isClosed = false;
  /** Of the first two endpoints, which for most routes are all: a Map of two takes memory in three places more (bench W1r). */
  #oneRow = noRow;
  #one: EndpointWaits | null = null;
  #otherRow = noRow;
  #other: EndpointWaits | null = null;
  #more: Map<number, EndpointWaits> | null = null;

  /** @param kept of all routes of the worker */
  constructor(kept: KeptWaits) {
    super();
    this.kept = kept;
  }

  /** For a request that is about to wait. */
  at(row: number): EndpointWaits {
    return this.find(row) ?? this.#add(new EndpointWaits(row, this));
  }

  /** What is known of an endpoint; null for nothing. */
  find(row: number): EndpointWaits | null {
    if (row === this.#oneRow) return this.#one;
    if (row === this.#otherRow) return this.#other;
    return this.#more?.get(row) ?? null;
  }

  #add(waits: EndpointWaits): EndpointWaits {
    if (this.#isClosed) return waits;
    this.kept.add(waits);
    if (this.#one === null) [this.#oneRow, this.#one] = [waits.row, waits];
    else if (this.#other === null) [this.#otherRow, this.#other] = [waits.row, waits];
    else {
      this.#more ??= new Map();
      this.#more.set(waits.row, waits);
    }
    return waits;
  }

  forget({ row }: EndpointWaits): void {
    if (row === this.#oneRow) [this.#oneRow, this.#one] = [noRow, null];
    else if (row === this.#otherRow) [this.#otherRow, this.#other] = [noRow, null];
    else this.#more?.delete(row);
  }

  /** How long an answer may take that nobody has reason to wait longer for; null while too little is known. */
  silenceLimitMs(config: StallConfig, nowMs: number): number | null {
    if (this.count < samplesMin) return null;
    return Math.max(config.minSilenceMs, config.factor * this.longestMs(nowMs));
  }

  /** Endpoints that nobody waits for and that are not among these are forgotten. */
  retainOnly(rows: ReadonlySet<number>): void {
    for (const waits of this.#all()) {
      if (!rows.has(waits.row) && !waits.isInUse) this.#drop(waits);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const waits of this.#all()) this.#drop(waits);
  }

  #all(): EndpointWaits[] {
    return [this.#one, this.#other, ...(this.#more?.values() ?? [])].filter((waits) => waits !== null);
  }

  #drop(waits: EndpointWaits): void {
    this.kept.remove(waits);
    this.forget(waits);
  }
}
