import { type HeldClient, HeldClients } from "./held-clients.ts";
import { LoadShedder } from "./load-shedder.ts";

export const tickMs = 50;
/** How many sockets libuv takes from the kernel at once, and how often in a turn while it finds so many. */
const pollMaxCount = 1_024;
const pollMaxRounds = 48;

export interface SimulatedLoad {
  readonly clientCount: number;
  /** Requests per second that find an idle client; null: each client asks again once it was answered. */
  readonly rate: number | null;
  /** How long a client waits before it gives up and connects anew. */
  readonly patienceMs: number;
}

export interface SimulatedCosts {
  /** Of a request until it is sent on. */
  readonly requestMs: number;
  /** Of its answer, in as many pieces, each of which comes in a later turn. */
  readonly pieceMs: number;
  readonly pieceCount: number;
  readonly refusalMs: number;
  readonly connectMs: number;
}

/** What happened over a while, by the simulated clock. */
export interface SimulatedSpan {
  readonly goodPerSecond: number;
  readonly refusedCount: number;
  /** The longest that a good answer was waited for. */
  readonly slowestMs: number;
}

class SimulatedClient implements HeldClient {
  sentAtMs = 0;
  isHeld = false;
  /** A request that came while it was held: it is read later. */
  isUnread = false;
  readonly loop: SimulatedLoop;

  constructor(loop: SimulatedLoop) {
    this.loop = loop;
  }

  endHold(): boolean {
    if (!this.isHeld) return false;
    this.isHeld = false;
    if (this.isUnread) this.loop.ready.push(this);
    this.isUnread = false;
    return true;
  }
}

/** An event loop with its clients, on a clock of its own: requests, answers and refusals cost what they are said to. */
export class SimulatedLoop {
  load: SimulatedLoad;
  costs: SimulatedCosts;
  readonly shedder: LoadShedder;
  readonly held: HeldClients;
  nowMs = 0;
  /** Sockets that can be read. */
  ready: (SimulatedClient | { readonly client: SimulatedClient; piecesLeft: number })[] = [];
  #idle: SimulatedClient[] = [];
  #dueAtMs = tickMs;
  #askedFromMs = 0;
  #askedCount = 0;
  #invitedCount = 0;
  #goodCount = 0;
  #refusedCount = 0;
  #slowestMs = 0;

  /** @param lagMs the threshold; Infinity sheds nothing */
  constructor(load: SimulatedLoad, costs: SimulatedCosts, lagMs = 250) {
    this.load = load;
    this.costs = costs;
    this.shedder = new LoadShedder({ lagMs, tickMs });
    this.held = new HeldClients(1_000, () => {});
    this.shedder.turned(0);
    this.change(load);
  }

  /** Other clients from now on. */
  change(load: SimulatedLoad): void {
    this.load = load;
    this.ready = this.ready.filter((each) => !(each instanceof SimulatedClient));
    this.#askedFromMs = this.nowMs;
    this.#askedCount = 0;
    this.#idle = Array.from({ length: load.clientCount }, () => new SimulatedClient(this));
    if (load.rate === null) for (const client of this.#idle.splice(0)) this.#ask(client, this.nowMs);
  }

  /** Goes on for so long, and to the end of the turn. */
  run(forMs: number): SimulatedSpan {
    const fromMs = this.nowMs;
    this.#goodCount = 0;
    this.#refusedCount = 0;
    this.#slowestMs = 0;
    while (this.nowMs < fromMs + forMs) this.#turn();
    const goodPerSecond = (this.#goodCount / (this.nowMs - fromMs)) * 1_000;
    return { goodPerSecond, refusedCount: this.#refusedCount, slowestMs: this.#slowestMs };
  }

  #turn(): void {
    if (this.nowMs >= this.#dueAtMs) {
      this.shedder.turned(this.nowMs, this.#invitedCount);
      this.#invitedCount = this.held.letGo(this.nowMs, this.shedder.roomCount);
      this.#dueAtMs = this.nowMs + tickMs;
    }
    for (let round = 0; round < pollMaxRounds; round++) {
      this.#arrivals();
      const events = this.ready.splice(0, pollMaxCount);
      for (const event of events) {
        if (event instanceof SimulatedClient) this.#read(event);
        else this.#readPiece(event);
      }
      if (events.length < pollMaxCount) break;
    }
    if (this.ready.length === 0) this.nowMs = Math.max(this.nowMs, Math.min(this.#dueAtMs, this.#nextArrivalMs));
  }

  get #nextArrivalMs(): number {
    const { rate } = this.load;
    return rate === null ? Number.POSITIVE_INFINITY : this.#askedFromMs + ((this.#askedCount + 1) / rate) * 1_000;
  }

  /** A request that finds no idle client is lost: it would have to wait elsewhere. */
  #arrivals(): void {
    for (; this.#nextArrivalMs <= this.nowMs; this.#askedCount++) {
      const client = this.#idle.shift();
      if (client !== undefined) this.#ask(client, this.#nextArrivalMs);
    }
  }

  #ask(client: SimulatedClient, atMs: number): void {
    client.sentAtMs = atMs;
    if (client.isHeld) client.isUnread = true;
    else this.ready.push(client);
  }

  #read(client: SimulatedClient): void {
    const startedAtMs = this.nowMs;
    if (startedAtMs >= this.shedder.asksFromMs && this.shedder.refuses(startedAtMs)) {
      this.nowMs += this.costs.refusalMs;
      this.shedder.refused(this.costs.refusalMs);
      this.#refusedCount++;
      client.isHeld = true;
      this.held.add(client, this.nowMs);
      this.#answered(client);
      return;
    }
    this.nowMs += this.costs.requestMs;
    this.ready.push({ client, piecesLeft: this.costs.pieceCount });
  }

  #readPiece(answer: { readonly client: SimulatedClient; piecesLeft: number }): void {
    this.nowMs += this.costs.pieceMs;
    if (--answer.piecesLeft > 0) {
      this.ready.push(answer);
      return;
    }
    const waitedMs = this.nowMs - answer.client.sentAtMs;
    if (waitedMs <= this.load.patienceMs) {
      this.#goodCount++;
      this.#slowestMs = Math.max(this.#slowestMs, waitedMs);
    } else this.nowMs += this.costs.connectMs;
    this.#answered(answer.client);
  }

  #answered(client: SimulatedClient): void {
    if (this.load.rate === null) this.#ask(client, this.nowMs);
    else this.#idle.push(client);
  }
}
