import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { Deadline, type DeadlineOwner, tickMs } from "../upstream/deadline-wheel.ts";

/** What a client is too slow with: sending its body, or taking its answer. */
export type Duty = "body" | "answer";

/** So many looks in the time of grace: a client is found out at most one interval late. */
const looksPerGrace = 5;

/**
 * Time that a client has bought: each second's worth of bytes buys a second, of which it can save up no more than
 * the grace. A client that keeps up the rate never runs out; one that stops has the grace left, whatever it sent before.
 */
export class Allowance {
  readonly #graceMs: number;
  readonly #bytesPerSecond: number;
  isRunning = false;
  #leftMs = 0;

  constructor(graceMs: number, bytesPerSecond: number) {
    this.#graceMs = graceMs;
    this.#bytesPerSecond = bytesPerSecond;
  }

  start(): void {
    this.isRunning = true;
    this.#leftMs = this.#graceMs;
  }

  /** @returns whether nothing is left */
  spend(elapsedMs: number, bytes: number): boolean {
    const bought = (bytes / this.#bytesPerSecond) * 1_000;
    this.#leftMs = Math.min(this.#graceMs, this.#leftMs + bought - elapsedMs);
    return this.#leftMs <= 0;
  }
}

/**
 * Holds a client to the least rates, in both directions. A connection gets one when it first has to be waited for,
 * and only while it is waited for does anything look at it.
 */
export class ClientPace implements DeadlineOwner {
  readonly #socket: ByteSocket;
  readonly #onTooSlow: (duty: Duty) => void;
  readonly #deadline: Deadline;
  readonly #lookMs: number;
  readonly #body: Allowance;
  readonly #answer: Allowance;
  #isLooking = false;
  #bodyBytes = 0;
  #pendingBytes = 0;
  #unsentBytes = 0;

  constructor(
    socket: ByteSocket,
    { wheel, limits }: Pick<ProxyEngine, "wheel" | "limits">,
    onTooSlow: (duty: Duty) => void,
  ) {
    this.#socket = socket;
    this.#onTooSlow = onTooSlow;
    this.#deadline = new Deadline(wheel, this);
    this.#lookMs = Math.max(tickMs, limits.rateGraceMs / looksPerGrace);
    this.#body = new Allowance(limits.rateGraceMs, limits.bodyMinBytesPerSecond);
    this.#answer = new Allowance(limits.rateGraceMs, limits.readMinBytesPerSecond);
  }

  /** It is the client's turn to send more of a body. */
  awaitBody(): void {
    if (this.#body.isRunning) return;
    this.#body.start();
    this.#bodyBytes = 0;
    this.#look();
  }

  bodyCame(bytes: number): void {
    this.#bodyBytes += bytes;
  }

  /** The body is complete, or waits for the target. */
  bodyRests(): void {
    this.#body.isRunning = false;
  }

  /** Something waits for the client to take it. */
  awaitAnswer(): void {
    if (this.#answer.isRunning) return;
    this.#answer.start();
    this.#takenBytes();
    this.#look();
  }

  answerRests(): void {
    this.#answer.isRunning = false;
  }

  /** The connection is gone. */
  release(): void {
    this.#deadline.release();
  }

  onDeadline(): void {
    this.#isLooking = false;
    if (this.#answer.isRunning && !this.#socket.hasPending) this.#answer.isRunning = false;
    const isBodyLate = this.#body.isRunning && this.#body.spend(this.#lookMs, this.#bodyBytes);
    const isAnswerLate = this.#answer.isRunning && this.#answer.spend(this.#lookMs, this.#takenBytes());
    this.#bodyBytes = 0;
    if (isBodyLate || isAnswerLate) {
      this.bodyRests();
      this.answerRests();
      this.#onTooSlow(isBodyLate ? "body" : "answer");
    } else if (this.#body.isRunning || this.#answer.isRunning) this.#look();
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#deadline.set(this.#lookMs);
  }

  /** What left since the last call: exact within one write, and plenty when a whole write has left. */
  #takenBytes(): number {
    const { pendingBytes, unsentBytes } = this.#socket;
    const isWriteDone = pendingBytes < this.#pendingBytes;
    const taken = isWriteDone ? Number.POSITIVE_INFINITY : Math.max(0, this.#unsentBytes - unsentBytes);
    this.#pendingBytes = pendingBytes;
    this.#unsentBytes = unsentBytes;
    return taken;
  }
}
