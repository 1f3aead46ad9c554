import type { Socket } from "node:net";
import { beginEvent, endEvent } from "./event-time.ts";
import { ReadBuffer, type ReadBuffers, readBufferBytes } from "./read-buffer.ts";
import { unsentBytes } from "./unsent-bytes.ts";

/** Who gets what happens on a socket. Nothing is called after onClosed. */
export interface ByteReader {
  onConnected(): void;
  /** The first `length` bytes of `from` arrived. They are valid only during the call. */
  onBytes(from: ReadBuffer, length: number): void;
  /** The peer sent its last byte (FIN). */
  onEnd(): void;
  /** Everything written has left, after a write that returned false. */
  onDrain(): void;
  /** After `end`: everything written has left, and FIN after it. */
  onFlushed(): void;
  onClosed(error: NodeJS.ErrnoException | null): void;
  /** One of the calls above threw: a defect. The socket is destroyed already; onClosed follows. */
  onDefect(error: unknown): void;
}

/** A byte stream in both directions, encrypted or not. */
export interface ByteSocket {
  /** Something that was written is still waiting to leave. */
  readonly hasPending: boolean;
  /** How much that is, in whole writes. */
  readonly pendingBytes: number;
  /** How much of the write under way has not left. */
  readonly unsentBytes: number;
  /** More is waiting to leave than the writer should add to: onDrain follows. */
  readonly isFull: boolean;
  /** Whether what is being read needs memory of its own, because it is passed on without a copy. */
  readsLargeBody: boolean;
  /** From now on another reader is told what happens. */
  setReader(reader: ByteReader): void;
  /** Writes latin1 text: heads and small bodies. @returns false when the writer should wait for onDrain */
  writeText(text: string): boolean;
  /** Writes `text`, then the bytes [start, end) that another socket read. */
  writeBytes(text: string, from: ReadBuffer, start: number, end: number): boolean;
  /** What is written between the two leaves together. Saying either twice is the same as saying it once. */
  cork(): void;
  uncork(): void;
  /** No onBytes and no onEnd until `resume`. Saying either twice is the same as saying it once. */
  pause(): void;
  resume(): void;
  /** Sends FIN after what was written. */
  end(): void;
  destroy(): void;
  /** Ends the connection so that the peer cannot take it for a regular end (RST). */
  reset(): void;
}

const ignore = (): void => {};
/** Reads for nobody. */
const nobody: ByteReader = {
  onConnected: ignore,
  onBytes: ignore,
  onEnd: ignore,
  onDrain: ignore,
  onFlushed: ignore,
  onClosed: ignore,
  onDefect: ignore,
};

/** What node:net takes as `onread`. */
export interface OnRead {
  /**
   * What to read into next. After a read, undefined for the same again: node:net has it already, and asking anew what
   * memory that is costs more than a hundred nanoseconds (bench W1).
   */
  buffer(): Uint8Array | undefined;
  callback(length: number): boolean;
}

/**
 * A node:net socket that reads into memory we choose (`onread`). That spares a Buffer, two events and a
 * nextTick per read: 12 of 34 us per proxied request.
 */
export class PlainSocket implements ByteSocket {
  readsLargeBody = false;
  /** What came before the socket closed is told before that, also to a reader that rests: its close waits. */
  tellsAllFirst = false;
  readonly #buffers: ReadBuffers;
  #reader: ByteReader;
  #socket: Socket | null = null;
  /** What carries the bytes: another socket where they are encrypted, null where that is hidden in the socket. */
  #carrier: Socket | null = null;
  /** What the kernel fills next. */
  #armed: ReadBuffer;
  /** What node:net was told last that this is. */
  #told: ReadBuffer | null = null;
  /** It has read, and asks what is next: not for the first time, or for another handle. */
  #hasRead = false;
  /** Buffers of other sockets with bytes that are still to leave through this one. */
  readonly #lent: ReadBuffer[] = [];
  #error: NodeJS.ErrnoException | null = null;
  #isClosed = false;
  #isPaused = false;
  #isCorked = false;
  #isDetached = false;
  /** Came after `pause`, which only TLS brings: what it has decrypted by then it passes on. In order. */
  readonly #held: Buffer[] = [];
  #isEndHeld = false;
  #isCloseHeld = false;
  /** By its reader: what is held is not told any more. */
  #isGivenUp = false;

  constructor(buffers: ReadBuffers, reader: ByteReader) {
    this.#buffers = buffers;
    this.#reader = reader;
    this.#armed = buffers.shared;
  }

  /** The hooks for the socket that will be given to `attach`. */
  onRead(): OnRead {
    return { buffer: () => this.#arm(), callback: (length) => this.#take(length) };
  }

  /** @param carrier the TCP socket that `socket` encrypts for; itself where nothing is encrypted */
  attach(socket: Socket, carrier: Socket = socket): void {
    this.#carrier = carrier;
    this.#listen(socket, "connect");
  }

  /** A socket that connects with TLS by itself: it is connected when the handshake is done. */
  attachSecure(socket: Socket): void {
    this.#listen(socket, "secureConnect");
  }

  #listen(socket: Socket, connectedEvent: "connect" | "secureConnect"): void {
    this.#socket = socket;
    socket.on(connectedEvent, () => this.#guard(() => this.#reader.onConnected()));
    socket.on("end", () => this.#ended());
    socket.on("drain", () => this.#guard(() => this.#reader.onDrain()));
    socket.on("finish", () => this.#guard(() => this.#reader.onFlushed()));
    socket.on("error", (error) => {
      this.#error = error;
      // A record that breaks the rules is told, and not the end of the socket by itself.
      if (this.#carrier !== socket) socket.destroy();
    });
    socket.on("close", () => this.#close());
  }

  /** Without `onread`: every read comes as a Buffer of its own. Six microseconds more per request. */
  attachWithEvents(socket: Socket, carrier: Socket = socket): void {
    this.attach(socket, carrier);
    socket.on("data", (bytes: Buffer) => {
      this.#guard(() => this.#reader.onBytes(new ReadBuffer(bytes, false), bytes.length));
    });
  }

  setReader(reader: ByteReader): void {
    this.#reader = reader;
  }

  get hasPending(): boolean {
    return this.#socket!.writableLength > 0;
  }

  get pendingBytes(): number {
    return this.#socket!.writableLength;
  }

  get unsentBytes(): number {
    return unsentBytes(this.#socket!);
  }

  get isFull(): boolean {
    return this.#socket!.writableNeedDrain;
  }

  writeText(text: string): boolean {
    return this.#socket!.write(text, "latin1");
  }

  writeBytes(text: string, from: ReadBuffer, start: number, end: number): boolean {
    // A shared buffer must never reach a write: if the kernel does not take all of it at once, the next read of
    // any connection would overwrite what is still to be sent.
    if (from.isShared) return this.#writeCopied(text, from.bytes, start, end);
    const goesOn = this.#writeBoth(text, from.bytes.subarray(start, end));
    if (from.isPooled && !from.isLent && this.hasPending) this.#lend(from);
    return goesOn;
  }

  /**
   * Writes a copy, in memory that is used again and again: a Buffer for each would cost more to allocate and to
   * collect than sending it does. Where the kernel takes all at once, as it nearly always does, that memory is free
   * again at once.
   */
  #writeCopied(text: string, bytes: Buffer, start: number, end: number): boolean {
    const length = text.length + end - start;
    // Behind what waits already it will wait, too: a whole buffer for a small piece would be missing to large bodies.
    const copy = length <= readBufferBytes && !this.hasPending ? this.#buffers.take() : null;
    if (copy === null) return this.#writeBoth(text, Buffer.from(bytes.subarray(start, end)));
    if (text !== "") copy.bytes.write(text, 0, "latin1");
    bytes.copy(copy.bytes, text.length, start, end);
    const goesOn = this.#writeMemory(copy.bytes.subarray(0, length));
    if (this.hasPending) this.#lend(copy);
    else this.#buffers.giveBack(copy);
    return goesOn;
  }

  /**
   * Writes, and has `#flushed` called once the bytes have left unless they have within this call. A callback costs a tick
   * of Node's own, 4 of 54 us of W2: what was taken at once, as nearly always where nothing is encrypted, needs none.
   */
  #writeMemory(bytes: Buffer): boolean {
    const socket = this.#socket!;
    if (this.#carrier !== socket) return socket.write(bytes, this.#flushed);
    const goesOn = socket.write(bytes);
    // Of no length, behind those bytes.
    if (this.hasPending) socket.write("", this.#flushed);
    else if (this.#lent.length > 0) this.#returnLent();
    return goesOn;
  }

  #writeBoth(text: string, bytes: Buffer): boolean {
    const socket = this.#socket!;
    if (text !== "") {
      socket.cork();
      socket.write(text, "latin1");
    }
    const goesOn = text === "" ? this.#writeMemory(bytes) : socket.write(bytes, this.#flushed);
    if (text !== "") socket.uncork();
    return goesOn;
  }

  /** The buffer's bytes wait to leave through this socket. */
  #lend(buffer: ReadBuffer): void {
    buffer.isLent = true;
    this.#lent.push(buffer);
  }

  cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket!.cork();
  }

  uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#socket!.uncork();
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket!.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    // Not within this call: whoever makes it is not prepared for bytes.
    if (this.#isHolding) process.nextTick(() => this.#giveHeld());
    else this.#socket!.resume();
  }

  get #isHolding(): boolean {
    return this.#held.length > 0 || this.#isEndHeld || this.#isCloseHeld;
  }

  /** Passes on what was held, as far as the reader takes it. */
  #giveHeld(): void {
    while (this.#held.length > 0 && !this.#isPaused && !this.#isClosed) {
      const bytes = this.#held.shift()!;
      this.#guard(() => this.#reader.onBytes(new ReadBuffer(bytes, false), bytes.length));
    }
    if (this.#isPaused || this.#isClosed) return;
    if (this.#isEndHeld) {
      this.#isEndHeld = false;
      this.#guard(() => this.#reader.onEnd());
    }
    if (this.#isCloseHeld) this.#close();
    else this.#socket!.resume();
  }

  #ended(): void {
    if (this.#isPaused || this.#isHolding) this.#isEndHeld = true;
    else this.#guard(() => this.#reader.onEnd());
  }

  end(): void {
    this.#socket!.end();
  }

  destroy(): void {
    this.#isGivenUp = true;
    this.#socket!.destroy();
    // Not within this call, as it would be without the wait.
    if (this.#isCloseHeld) process.nextTick(() => this.#closeNow());
  }

  reset(): void {
    this.#isGivenUp = true;
    if (this.#isCloseHeld) process.nextTick(() => this.#closeNow());
    // An end without close_notify is no regular end either.
    if (this.#carrier === null) this.#socket!.destroy();
    else this.#carrier.resetAndDestroy();
  }

  /** Whether nothing has come, nothing was written, and nothing is encrypted. */
  get isUntouched(): boolean {
    const socket = this.#socket!;
    return socket === this.#carrier && !socket.destroyed && socket.bytesRead === 0 && socket.bytesWritten === 0;
  }

  /**
   * Gives the socket up, from within onBytes: nothing of it is told any more, not even that it is closed, and
   * nothing more is read. For whoever goes on with it by other means than this class. One that is untouched may be given
   * up from anywhere.
   */
  detach(): Socket {
    this.#reader = nobody;
    this.#isDetached = true;
    this.#returnArmed();
    return this.#socket!;
  }

  readonly #flushed = (): void => {
    if (this.#lent.length > 0 && this.#socket!.writableLength === 0) this.#returnLent();
  };

  #returnLent(): void {
    for (const buffer of this.#lent) this.#buffers.giveBack(buffer);
    this.#lent.length = 0;
  }

  /** Called by node:net before the first read and after each one. */
  #arm(): Uint8Array | undefined {
    const armed = this.#armed;
    // A lent buffer belongs to the socket that writes it, until that has sent it.
    const isKept = this.readsLargeBody && !armed.isShared && !armed.isLent;
    if (!isKept) {
      if (!armed.isShared && !armed.isLent) this.#buffers.giveBack(armed);
      this.#armed = (this.readsLargeBody ? this.#buffers.take() : null) ?? this.#buffers.shared;
    }
    const isKnown = this.#hasRead && this.#told === this.#armed;
    this.#hasRead = false;
    this.#told = this.#armed;
    return isKnown ? undefined : this.#armed.bytes;
  }

  #take(length: number): boolean {
    this.#hasRead = true;
    if (this.#isPaused || this.#held.length > 0) {
      this.#held.push(Buffer.from(this.#armed.bytes.subarray(0, length)));
      return !this.#isDetached && !this.#isPaused;
    }
    const wasInEvent = beginEvent();
    try {
      this.#reader.onBytes(this.#armed, length);
    } catch (error) {
      this.#defect(error);
    } finally {
      endEvent(wasInEvent);
    }
    // False makes node:net stop reading.
    return !this.#isDetached;
  }

  #returnArmed(): void {
    if (!this.#armed.isShared && !this.#armed.isLent) this.#buffers.giveBack(this.#armed);
    this.#armed = this.#buffers.shared;
  }

  #close(): void {
    this.#isCloseHeld = this.tellsAllFirst && !this.#isGivenUp && this.#held.length > 0 && this.#error !== null;
    if (!this.#isCloseHeld) this.#closeNow();
  }

  #closeNow(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#held.length = 0;
    this.#returnLent();
    this.#returnArmed();
    this.#guard(() => this.#reader.onClosed(this.#error));
  }

  /** Nothing that goes wrong with one connection may reach the others. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#defect(error);
    }
  }

  #defect(error: unknown): void {
    this.destroy();
    this.#reader.onDefect(error);
  }
}
