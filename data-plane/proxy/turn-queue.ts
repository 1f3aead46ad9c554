import type { ServedSnapshot } from "../snapshot/snapshot-holder.ts";
import type { AdmissionTable } from "../upstream/admission-table.ts";
import { Deadline, type DeadlineOwner, type DeadlineWheel } from "../upstream/deadline-wheel.ts";
import type { Chosen } from "./admission.ts";
import { answerAtLimit } from "./answer.ts";
import { hasRoom } from "./endpoint-room.ts";
import type { Exchange } from "./exchange.ts";
import { Counter, type ProxyCounters } from "./proxy-counters.ts";

export interface TurnQueueOptions {
  readonly table: AdmissionTable;
  readonly wheel: DeadlineWheel;
  readonly counters: ProxyCounters;
  /** The request waits no longer: it is admitted to this endpoint, or nobody is there to wait for. */
  readonly onTurn: (exchange: Exchange, chosen: Exclude<Chosen, "full">) => void;
  readonly onDefect: (error: unknown) => void;
}

/** A request that waits until its pool, or an endpoint, has room. */
export class Turn implements DeadlineOwner {
  readonly exchange: Exchange;
  readonly poolRow: number;
  /** Its number among all that wait in the pool, in whatever worker. */
  readonly ticket: number;
  readonly sinceMs = performance.now();
  /** It has been wherever there is room, and waits for another endpoint: those behind it need not wait with it. */
  isSetAside = false;
  readonly #queue: TurnQueue;
  readonly #deadline: Deadline;

  constructor(queue: TurnQueue, wheel: DeadlineWheel, exchange: Exchange, ticket: number) {
    this.#queue = queue;
    this.exchange = exchange;
    this.poolRow = exchange.pool!.config.poolRow;
    this.ticket = ticket;
    this.#deadline = new Deadline(wheel, this);
    this.#deadline.set(exchange.pool!.config.balancing.inFlight!.queueTimeoutMs);
  }

  onDeadline(): void {
    this.#queue.timedOut(this);
  }

  end(): void {
    this.#deadline.release();
  }
}

/** Those of this worker that wait in one pool. */
interface Line {
  /** In the order of their tickets. */
  readonly turns: Set<Turn>;
  /** The ticket of another worker that had room at the last look and left it; 0 for none. */
  passiveTicket: number;
}

/**
 * The requests of one worker that wait for their turn in pools with limits. Over all workers they go in the order in which
 * they came: whoever makes room serves its own queue if the oldest ticket is there, and wakes the worker that has it if
 * not. A newcomer goes behind those that wait.
 *
 * Whatever else may change something (a limit, the endpoints, who is out) is found by looking with every tick of the
 * worker's timer. Room that the worker with the oldest ticket leaves for a whole tick is used by another one: a worker
 * that stands still must not hold up all.
 *
 * A request that is to be sent again, and has been at every endpoint that has room, keeps nobody else from those: it is set
 * aside, holds no ticket then, and is looked at whenever the worker's queue is served.
 *
 * A request that waits takes the pool as it is when its turn comes; all else it has from its own snapshot.
 */
export class TurnQueue {
  readonly #options: TurnQueueOptions;
  readonly #table: AdmissionTable;
  readonly #lines = new Map<number, Line>();
  /** Pools in which room was made in this turn of the event loop. */
  readonly #roomy = new Set<number>();
  #isWatching = false;

  constructor(options: TurnQueueOptions) {
    this.#options = options;
    this.#table = options.table;
  }

  /** Whether a newcomer to the pool has to go behind others, of whatever worker. */
  hasOrder(poolRow: number): boolean {
    return this.#table.hasOrder(poolRow);
  }

  /** The request waits from now on. @returns false when there is no queue, or no room in it */
  join(exchange: Exchange): boolean {
    const { inFlight } = exchange.pool!.config.balancing;
    const { wheel, counters } = this.#options;
    if (inFlight === null || inFlight.queueSize === 0) return false;
    const { poolRow } = exchange.pool!.config;
    const ticket = this.#table.beginToWait(poolRow, inFlight.queueSize);
    if (ticket === 0) return false;
    exchange.client.restBody();
    const turn = new Turn(this, wheel, exchange, ticket);
    exchange.admission!.turn = turn;
    counters.add(Counter.queued);
    counters.add(Counter.queued_active);
    this.#watch();
    const line = this.#lines.get(poolRow);
    if (line === undefined) {
      this.#lines.set(poolRow, { turns: new Set([turn]), passiveTicket: 0 });
    } else line.turns.add(turn);
    this.#publish(poolRow);
    // What was given back before the ticket could be seen, nobody has told of.
    this.#serveSoon(poolRow);
    return true;
  }

  /** The request waits no longer, whatever becomes of it. */
  leave(turn: Turn): void {
    const { exchange, poolRow } = turn;
    const line = this.#lines.get(poolRow)!;
    const wasFirst = firstOf(line) === turn;
    turn.end();
    exchange.admission!.turn = null;
    line.turns.delete(turn);
    if (line.turns.size === 0) this.#lines.delete(poolRow);
    if (wasFirst) this.#publish(poolRow);
    this.#table.endWaiting(poolRow);
    this.#options.counters.subtract(Counter.queued_active);
    if (exchange.logged !== null) exchange.logged.queuedMs += performance.now() - turn.sinceMs;
    // It may have been woken for room that it does not take.
    if (wasFirst) this.roomMade(poolRow);
  }

  timedOut(turn: Turn): void {
    this.leave(turn);
    answerAtLimit(turn.exchange, "queue_timeout");
  }

  /** Something of the pool was given back. Cost: a load for each column where nobody waits. */
  roomMade(poolRow: number): void {
    if (this.#table.waitingCount(poolRow) === 0) return;
    const oldest = this.#table.oldestTicket(poolRow);
    const isElsewhere = oldest !== 0 && this.#table.wakeHolder(poolRow, oldest);
    if (!isElsewhere && this.#lines.has(poolRow)) this.#serveSoon(poolRow);
  }

  /** Says whose turn it is in this worker, of those that others have to heed. */
  #publish(poolRow: number): void {
    const line = this.#lines.get(poolRow);
    this.#table.publishOldest(poolRow, (line && firstOf(line)?.ticket) ?? 0);
  }

  /** With every tick. */
  look(): void {
    for (const [poolRow, line] of this.#lines) {
      const turn = firstOf(line);
      const oldest = this.#table.oldestTicket(poolRow);
      if (turn === undefined || oldest === turn.ticket || !hasRoom(turn.exchange)) line.passiveTicket = 0;
      else if (line.passiveTicket !== oldest) {
        line.passiveTicket = oldest;
        this.#table.wakeHolder(poolRow, oldest);
        continue;
      }
      this.#serve(poolRow, line.passiveTicket !== 0);
    }
  }

  /** Another configuration, or other endpoints, are served. */
  follow({ pools }: ServedSnapshot): void {
    if (this.#lines.size === 0) return;
    for (const pool of pools) {
      const line = pool === null ? undefined : this.#lines.get(pool.config.poolRow);
      if (pool === null || line === undefined) continue;
      for (const { exchange } of line.turns) exchange.pool = pool;
      this.#serveSoon(pool.config.poolRow);
    }
  }

  /** Waits for nothing any more. */
  close(): void {
    this.#table.wakeSelf();
  }

  /** Not within the call in which room was made: that is about another request, and may go on to use what it has. */
  #serveSoon(poolRow: number): void {
    if (this.#roomy.size === 0) queueMicrotask(this.#serveRoomy);
    this.#roomy.add(poolRow);
  }

  readonly #serveRoomy = (): void => {
    const poolRows = [...this.#roomy];
    this.#roomy.clear();
    for (const poolRow of poolRows) this.#serve(poolRow, false);
  };

  /** @param isFirst go before one that another worker has; once */
  #serve(poolRow: number, isFirst: boolean): void {
    const line = this.#lines.get(poolRow);
    if (line === undefined) return;
    let overtakes = isFirst;
    for (const turn of line.turns) {
      const oldest = turn.isSetAside ? 0 : this.#table.oldestTicket(poolRow);
      if (oldest !== 0 && oldest !== turn.ticket && !overtakes) {
        if (hasRoom(turn.exchange)) this.#table.wakeHolder(poolRow, oldest);
        return;
      }
      if (!turn.isSetAside) overtakes = false;
      if (!this.#admit(turn) && !this.#setAside(turn)) return;
    }
  }

  /** Of one that could not be admitted. @returns whether those behind it are to be looked at */
  #setAside(turn: Turn): boolean {
    const { exchange, poolRow } = turn;
    const isSetAside = exchange.tried.length > 0 && hasRoom(exchange);
    if (isSetAside === turn.isSetAside) return isSetAside;
    turn.isSetAside = isSetAside;
    this.#publish(poolRow);
    return isSetAside;
  }

  /** @returns false when it has to wait on */
  #admit(turn: Turn): boolean {
    const { exchange } = turn;
    const { onTurn, onDefect } = this.#options;
    try {
      const chosen = exchange.admission!.admit(exchange);
      if (chosen === "full") return false;
      this.leave(turn);
      onTurn(exchange, chosen);
    } catch (error) {
      onDefect(error);
      exchange.client.cut();
    }
    return true;
  }

  /** For as long as anybody waits here, this thread is told when others make room. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    this.#watchWakes().catch(this.#options.onDefect);
  }

  async #watchWakes(): Promise<void> {
    let seen = this.#table.wakeCount();
    do {
      await this.#table.wokenSince(seen);
      seen = this.#table.wakeCount();
      for (const poolRow of [...this.#lines.keys()]) this.#serve(poolRow, false);
    } while (this.#lines.size > 0);
    this.#isWatching = false;
  }
}

/** The one whose turn it is in the worker; undefined where all are set aside. */
function firstOf({ turns }: Line): Turn | undefined {
  for (const turn of turns) if (!turn.isSetAside) return turn;
  return undefined;
}
