import { isAmong } from "../balance/tried-endpoints.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import type { AdmissionTable } from "../upstream/admission-table.ts";
import { hasFullEndpoint } from "./endpoint-room.ts";
import type { Exchange } from "./exchange.ts";
import { endTrial, takeTrial } from "./trial.ts";
import type { Turn, TurnQueue } from "./turn-queue.ts";

/** The endpoint that a request is admitted to; or that it has to wait, or that there is none to wait for. */
export type Chosen = EndpointConfig | "full" | "nobody";

/** Endpoints that had room when they were picked, and none any more: after so many it is as good as full. */
const lostRacesMax = 64;

/**
 * What one request holds in a pool with limits, and is counted by as under way: a place in the pool, from its first attempt until it ends, and one at the
 * endpoint of its attempt, and of the attempt that is to follow. Each is given back once, however the request ends; a
 * tunnel has it until it ends. Probes of health checks take no place; a trial does.
 */
export class Admission {
  /** Its place in the queue, while it waits. */
  turn: Turn | null = null;
  /** Whether `next` found nobody only because those that are left have no room. */
  isFull = false;
  readonly #table: AdmissionTable;
  readonly #turns: TurnQueue;
  readonly #poolRow: number;
  #hasPool = false;
  /** Row of the endpoint where the attempt has its place; -1: it has none. */
  #row = -1;
  /** Row of the endpoint where the next attempt has it. */
  #nextRow = -1;

  constructor({ engine, pool }: Exchange) {
    this.#table = engine.endpoints.admissions;
    this.#turns = engine.turns;
    this.#poolRow = pool!.config.poolRow;
  }

  /** Takes a place in the pool, and one at an endpoint; both or none. */
  admit(exchange: Exchange): Chosen {
    const max = exchange.pool!.config.balancing.inFlight?.max ?? null;
    if (!this.#hasPool) {
      if (max === null) this.#table.countInPool(this.#poolRow);
      else if (!this.#table.admitToPool(this.#poolRow, max)) return "full";
      this.#hasPool = true;
    }
    const chosen = this.#takeTrial(exchange) ?? this.#choose(exchange);
    if (typeof chosen === "string") this.#leavePool();
    return chosen;
  }

  /** An endpoint for a further attempt, where it has its place then. */
  next(exchange: Exchange): EndpointConfig | null {
    const chosen = this.#choose(exchange);
    this.isFull = chosen === "full";
    return typeof chosen === "string" ? null : chosen;
  }

  #takeTrial(exchange: Exchange): EndpointConfig | null {
    if (!exchange.engine.endpoints.hasTrial(this.#poolRow)) return null;
    const endpoint = takeTrial(exchange);
    if (endpoint === null || this.#reserve(endpoint)) return endpoint;
    endTrial(exchange, "unclear", "");
    exchange.trialLimitMs = null;
    return null;
  }

  #choose(exchange: Exchange): Chosen {
    const { picker } = exchange.pool!;
    for (let lost = 0; lost < lostRacesMax; lost++) {
      const endpoint = picker.pick(exchange);
      if (endpoint === null) return picker.isFull ? "full" : "nobody";
      // Everybody else has had this request, or has no room for it.
      if (isAmong(exchange.tried, endpoint)) return hasFullEndpoint(exchange) ? "full" : "nobody";
      if (this.#reserve(endpoint)) return endpoint;
    }
    return "full";
  }

  #reserve({ row, maxInFlight }: EndpointConfig): boolean {
    if (maxInFlight === 0) this.#table.countAtEndpoint(row);
    else if (!this.#table.admitToEndpoint(row, maxInFlight)) return false;
    this.#nextRow = row;
    return true;
  }

  /** The attempt that was to follow begins. */
  attemptBegins(): void {
    this.#row = this.#nextRow;
    this.#nextRow = -1;
  }

  /** The attempt is over. */
  attemptEnds(): void {
    if (this.#row < 0) return;
    this.#table.leaveEndpoint(this.#row);
    this.#row = -1;
    this.#turns.roomMade(this.#poolRow);
  }

  /** The attempt is over, and the next one goes to the same endpoint. */
  keepForNext(): void {
    this.#nextRow = this.#row;
    this.#row = -1;
  }

  /** The attempt that was to follow is not made. */
  cancelNext(): void {
    if (this.#nextRow < 0) return;
    this.#table.leaveEndpoint(this.#nextRow);
    this.#nextRow = -1;
    this.#turns.roomMade(this.#poolRow);
  }

  /** The request is over, or has to wait like one that has just come: were it to keep its place, all could wait for all. */
  requestEnds(): void {
    if (this.turn !== null) this.#turns.leave(this.turn);
    this.cancelNext();
    this.attemptEnds();
    if (!this.#hasPool) return;
    this.#leavePool();
    this.#turns.roomMade(this.#poolRow);
  }

  #leavePool(): void {
    if (!this.#hasPool) return;
    this.#table.leavePool(this.#poolRow);
    this.#hasPool = false;
  }
}
