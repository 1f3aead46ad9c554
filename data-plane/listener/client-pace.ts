import type { ProxyEngine } from "../proxy/proxy-engine.ts";
import type { ByteSocket } from "../socket/byte-socket.ts";
import { Deadline, type DeadlineOwner, tickMs } from "../upstream/deadline-wheel.ts";

/** What a client is too slow with: sending its body, or taking its answer. */
export type Duty = "body" | "answer";

/** So many looks in the time of grace: a client is found out at most one interval late. */
const looksPerGrace = 20;

/**
 * For so long after a client was cut, the kernels of others take more by themselves: slow takers fill the kernel's memory
 * of TCP (net.ipv4.tcp_mem) together, and the cut has freed some. 500 that stood still were cut in two waves, 11 s apart.
 */
const freedRoomTicks = 2_000 / tickMs;

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

  /** Starts with what was left. */
  goOn(): void {
    this.isRunning = true;
  }

  get isMostlySpent(): boolean {
    return this.#leftMs < this.#graceMs / 2;
  }

  /** @returns whether nothing is left */
  spend(elapsedMs: number, bytes: number): boolean {
    const bought = (bytes / this.#bytesPerSecond) * 1_000;
    this.#leftMs = Math.min(this.#graceMs, this.#leftMs + bought - elapsedMs);
    return this.#leftMs <= 0;
  }
}

type PacedEngine = Pick<ProxyEngine, "wheel" | "limits" | "slowTakerCutAt">;

/**
 * Holds a client to the least rates, in both directions. A connection gets one when it first has to be waited for,
 * and only while it is waited for does anything look at it.
 */
export class ClientPace implements DeadlineOwner {
  readonly #socket: ByteSocket;
  readonly #engine: PacedEngine;
  readonly #onTooSlow: (duty: Duty) => void;
  readonly #deadline: Deadline;
  readonly #lookMs: number;
  readonly #body: Allowance;
  readonly #answer: Allowance;
  #isLooking = false;
  /** Tick of the wheel at the last look, or when the looking began. */
  #lookedAt = 0;
  /** Tick of the wheel at which nothing waited any more. */
  #restsSince = Number.NEGATIVE_INFINITY;
  #bodyBytes = 0;
  #pendingBytes = 0;
  #unsentBytes = 0;

  constructor(socket: ByteSocket, engine: PacedEngine, onTooSlow: (duty: Duty) => void) {
    const { wheel, limits } = engine;
    this.#socket = socket;
    this.#engine = engine;
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
    const hasJustRested = this.#engine.wheel.now - this.#restsSince <= freedRoomTicks;
    if (hasJustRested && this.#isFreedRoomTaken) this.#answer.goOn();
    else this.#answer.start();
    this.#takenBytes();
    this.#look();
  }

  answerRests(): void {
    if (!this.#answer.isRunning) return;
    this.#answer.isRunning = false;
    this.#restsSince = this.#engine.wheel.now;
  }

  /** Whether what is being taken after a long pause says nothing of the client. */
  get #isFreedRoomTaken(): boolean {
    const { wheel, slowTakerCutAt } = this.#engine;
    return this.#answer.isMostlySpent && wheel.now - slowTakerCutAt <= freedRoomTicks;
  }

  /** The connection is gone. */
  release(): void {
    this.#deadline.release();
  }

  onDeadline(): void {
    this.#isLooking = false;
    if (!this.#socket.hasPending) this.answerRests();
    // Each look is up to a tick late, and many of them would be late by seconds in all.
    const elapsedMs = (this.#engine.wheel.now - this.#lookedAt) * tickMs;
    const isBodyLate = this.#body.isRunning && this.#body.spend(elapsedMs, this.#bodyBytes);
    const takenBytes = this.#answer.isRunning ? this.#takenBytes() : 0;
    const bought = this.#isFreedRoomTaken ? 0 : takenBytes;
    const isAnswerLate = this.#answer.isRunning && this.#answer.spend(elapsedMs, bought);
    this.#bodyBytes = 0;
    if (isBodyLate || isAnswerLate) {
      this.bodyRests();
      this.answerRests();
      if (isAnswerLate) this.#engine.slowTakerCutAt = this.#engine.wheel.now;
      this.#onTooSlow(isBodyLate ? "body" : "answer");
    } else if (this.#body.isRunning || this.#answer.isRunning) this.#look();
  }

  #look(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lookedAt = this.#engine.wheel.now;
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
