import type { HeldClient } from "../proxy/held-clients.ts";
import { Counter } from "../proxy/proxy-counters.ts";
import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { Deadline, type DeadlineOwner } from "../upstream/deadline-wheel.ts";
import { ClientPace, type Duty } from "./client-pace.ts";

/**
 * What a client is waited for, and not for ever: its head, its next request, or that it takes the end of its last
 * answer (linger). While it is held it waits for us. The duties of the pace are beside these.
 */
export type Awaited = "head" | "request" | "linger" | "hold" | Duty;

export interface TimedClient {
  readonly socket: ByteSocket;
  onTooLate(awaited: Awaited): void;
}

const limitOf: Readonly<Record<Awaited, number>> = {
  head: Counter.limit_head_time,
  request: Counter.limit_idle_time,
  body: Counter.limit_body_rate,
  answer: Counter.limit_read_rate,
  linger: -1,
  hold: -1,
};

/** All that a client's connection is given time for. One timer of the wheel, and a pace for the clients that need one. */
export class ClientTimes implements DeadlineOwner, HeldClient {
  readonly #engine: ProxyEngine;
  readonly #client: TimedClient;
  readonly #deadline: Deadline;
  #awaited: Awaited = "request";
  #isHoldAsked = false;
  #pace: ClientPace | null = null;

  constructor(engine: ProxyEngine, client: TimedClient) {
    this.#engine = engine;
    this.#client = client;
    this.#deadline = new Deadline(engine.wheel, this);
    // A connection that says nothing has no longer than one that begins to.
    this.#deadline.set(engine.limits.headTimeoutMs);
  }

  /** A head has begun to arrive: the pieces that follow do not extend its time. */
  awaitHead(): void {
    if (this.#awaited === "head") return;
    this.#awaited = "head";
    this.#deadline.set(this.#engine.limits.headTimeoutMs);
  }

  /** The head is whole: from here on the pace counts. */
  headCame(): void {
    this.#awaited = "request";
    this.#deadline.clear();
  }

  awaitRequest(): void {
    if (this.#isHoldAsked) this.#hold();
    else {
      this.#awaited = "request";
      this.#deadline.set(this.#engine.limits.keepAliveTimeoutMs);
    }
    if (this.#client.socket.hasPending) this.awaitAnswer();
  }

  /** The next request has to wait, once this one is answered. */
  askHold(): void {
    this.#isHoldAsked = true;
  }

  #hold(): void {
    this.#isHoldAsked = false;
    this.#awaited = "hold";
    this.#deadline.clear();
    this.#engine.held.add(this, performance.now());
  }

  get isHeld(): boolean {
    return this.#awaited === "hold";
  }

  endHold(): boolean {
    if (!this.isHeld) return false;
    this.awaitRequest();
    this.#tell("hold");
    return true;
  }

  /** The last answer is written. A slow client has the time for it that it would have had in the midst of it. */
  awaitEnd(): void {
    this.#awaited = "linger";
    if (this.#client.socket.hasPending) {
      this.#deadline.clear();
      this.awaitAnswer();
    } else this.linger();
  }

  /** All has left, but may not have arrived. */
  linger(): void {
    this.#awaited = "linger";
    this.#deadline.set(this.#engine.limits.lingerTimeoutMs);
  }

  awaitBody(): void {
    this.#paced.awaitBody();
  }

  bodyCame(bytes: number): void {
    this.#pace?.bodyCame(bytes);
  }

  bodyRests(): void {
    this.#pace?.bodyRests();
  }

  awaitAnswer(): void {
    this.#paced.awaitAnswer();
  }

  answerRests(): void {
    this.#pace?.answerRests();
  }

  get #paced(): ClientPace {
    this.#pace ??= new ClientPace(this.#client.socket, this.#engine, (duty) => this.#tell(duty));
    return this.#pace;
  }

  /** The connection is gone. */
  release(): void {
    this.#awaited = "linger";
    this.#deadline.release();
    this.#pace?.release();
  }

  onDeadline(): void {
    this.#tell(this.#awaited);
  }

  #tell(awaited: Awaited): void {
    const limit = limitOf[awaited];
    if (limit >= 0) this.#engine.counters.add(limit);
    this.#client.onTooLate(awaited);
  }
}
