import type { Socket } from "node:net";
import type { CertificateConfig } from "../config/tls-config.ts";
import type { HandshakeFailure } from "../telemetry/handshake-failure.ts";
import { type HelloProblem, readClientHello } from "../tls/client-hello.ts";
import { Deadline, type DeadlineOwner, type DeadlineWheel } from "../upstream/deadline-wheel.ts";
import { type AcceptMode, takeUnread } from "./accepted-socket.ts";
import { readFirst } from "./accepted-tls-socket.ts";
import type { Member } from "./member-list.ts";
/** Who keeps the handshakes of a worker. */
export interface HandshakeOwner {
  /** The hello is whole: whoever serves this name gets the socket, with what was read put back, and then `expect`s it. */
  helloCame(handshake: TlsHandshake, serverName: string): void;
  /** It is no TLS, but looks like a request: the socket goes to whoever can say so. */
  requestCame(handshake: TlsHandshake): void;
  /** Nothing will come of it. @param failure null: whoever shook hands has told already */
  handshakeEnded(handshake: TlsHandshake, failure: HandshakeFailure | null): void;
}

/** Where a connection came, and what holds for its handshake. */
export interface HandshakePlace {
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly timeoutMs: number;
  readonly mode: AcceptMode;
  /** What is read of it comes by way of this memory, which all handshakes of the worker share. */
  readonly into: Buffer;
}

/** Of the message: hellos with post-quantum keys have 2 KB, the largest that are seen some 4. */
export const helloMaxBytes = 16_384;
/** For a client to take an alert in and to leave. */
const lingerMs = 1_000;
/** Fatal alerts (RFC 8446 section 6), for clients that OpenSSL is not asked about. */
const decodeErrorAlert = Buffer.from([0x15, 3, 1, 0, 2, 2, 50]);
const unexpectedMessageAlert = Buffer.from([0x15, 3, 1, 0, 2, 2, 10]);

/** A connection to a TLS port from its opening until it is secure, or fails to be. */
export class TlsHandshake implements DeadlineOwner, Member {
  place = -1;
  readonly socket: Socket;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly startedAtMs: number = performance.now();
  /** As the client has sent it. */
  serverName = "";
  /** Of this connection alone, on this node; "" where it is found otherwise, or its socket is not handed over yet. */
  key = "";
  /** What is served for that name; null for the node's own. */
  certificate: CertificateConfig | null = null;
  readonly #owner: HandshakeOwner;
  readonly #deadline: Deadline;
  #seen: Buffer | null = null;
  /** Known before the socket is closed. */
  #failure: HandshakeFailure | null = null;
  #isOver = false;
  /** The socket is another's, which tells itself why it fails. */
  #isHandedOver = false;
  readonly #onEnd = (): void => this.cut("closed");
  readonly #onClose = (): void => this.#end(this.#failure ?? (this.#isHandedOver ? null : "closed"));

  /** @param accepted paused, and not read from yet */
  constructor(owner: HandshakeOwner, wheel: DeadlineWheel, accepted: Socket, place: HandshakePlace) {
    this.#owner = owner;
    this.socket = accepted;
    this.remoteAddress = place.remoteAddress;
    this.localPort = place.localPort;
    this.#deadline = new Deadline(wheel, this);
    this.#deadline.set(place.timeoutMs);
    // Its close says all.
    accepted.on("error", ignore);
    accepted.on("close", this.#onClose);
    accepted.on("end", this.#onEnd);
    readFirst(accepted, place.mode, place.into, (bytes) => this.#read(bytes));
  }

  /** @returns whether to read on */
  #read(bytes: Buffer): boolean {
    // What is still sent is thrown away for a moment, or the kernel would throw away the alert.
    if (this.#isOver || this.#failure !== null) return !this.#isOver;
    const seen = this.#seen === null ? bytes : Buffer.concat([this.#seen, bytes]);
    const reading = readClientHello(seen, seen.length, helloMaxBytes);
    if (reading === "incomplete") {
      this.#seen = seen === bytes ? Buffer.from(bytes) : seen;
      return true;
    }
    this.socket.off("end", this.#onEnd);
    if (typeof reading === "string") return this.#refuse(reading, seen);
    this.#seen = seen === bytes ? Buffer.from(bytes) : seen;
    // In a turn of its own: the socket must not change hands in the midst of its own read.
    setImmediate(() => this.#handOver(reading.serverName));
    return false;
  }

  /** @returns whether to read on */
  #refuse(problem: HelloProblem, seen: Buffer): boolean {
    if (problem === "not_tls" && looksLikeRequest(seen)) {
      setImmediate(() => {
        if (!this.#isOver) this.#owner.requestCame(this);
      });
      return false;
    }
    this.#failure = problem;
    this.#seen = null;
    this.socket.end(problem === "not_tls" ? unexpectedMessageAlert : decodeErrorAlert);
    this.#deadline.set(lingerMs);
    return true;
  }

  #handOver(serverName: string): void {
    if (this.#isOver) return;
    this.serverName = serverName;
    this.#isHandedOver = true;
    // Taken over with it: a client that sends FIN in the midst of a handshake is gone.
    this.socket.allowHalfOpen = false;
    this.socket.unshift(this.#seen);
    this.#seen = null;
    this.#owner.helloCame(this, serverName);
  }

  /** The handshake is done, or the socket is in other hands: nothing is awaited here any more. */
  release(): void {
    this.#isOver = true;
    this.#deadline.release();
    this.socket.off("close", this.#onClose);
    this.#seen = null;
  }

  /** Whether node:tls has the socket, and will tell of its end as well. */
  get isHandedOver(): boolean {
    return this.#isHandedOver;
  }

  /** The socket, for another thread, when nothing was read of it: the handshake begins there. */
  giveUp(): Socket | null {
    const socket = takeUnread(this.socket);
    if (socket !== null) this.release();
    return socket;
  }

  /** Ends it; the socket too. */
  cut(failure: HandshakeFailure): void {
    this.#end(failure);
    this.socket.destroy();
  }

  onDeadline(): void {
    this.cut(this.#failure ?? "timeout");
  }

  #end(failure: HandshakeFailure | null): void {
    if (this.#isOver) return;
    this.release();
    this.#owner.handshakeEnded(this, failure);
  }
}

function ignore(): void {}

/** Whether bytes begin with a letter, as every method does. */
function looksLikeRequest(seen: Buffer): boolean {
  const letter = seen[0]! | 0x20;
  return letter >= 0x61 && letter <= 0x7a;
}
