import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import type { ReadBuffer } from "../socket/read-buffer.ts";
import { Deadline, type DeadlineOwner } from "../upstream/deadline-wheel.ts";
import type { Admission } from "./admission.ts";
import { Counter } from "./proxy-counters.ts";
import type { ProxyEngine } from "./proxy-engine.ts";

/** Up to this size bytes are written as text, as relay-body.ts does; above it a read buffer of its own pays. */
const textMaxBytes = 8_192;

/** One side of a tunnel as it is handed over by the connection that it was. */
export interface TunnelSide {
  readonly socket: ByteSocket;
  /** The connection: told when its socket is closed, so that whoever counts it knows. */
  readonly connection: ByteReader;
  /** What has arrived on it already and belongs into the tunnel. */
  readonly early: ReadBuffer;
  readonly earlyStart: number;
  readonly earlyEnd: number;
  /** Its peer has sent FIN. */
  readonly hasEnded: boolean;
}

/** What a tunnel keeps busy. */
interface BusyRows {
  readonly poolRow: number;
  readonly endpointRow: number;
  /** What it goes on holding in a pool with limits; null in any other. */
  readonly admission: Admission | null;
}

/**
 * Two connections that stopped speaking HTTP with each other's consent (101): bytes pass both ways, with
 * back-pressure and half-closes, until both sides have ended, one breaks, or nothing moves for too long. It knows
 * no snapshot, so it outlives every change of the configuration; while the node drains it has until the end of
 * the grace time.
 */
export class Tunnel implements DeadlineOwner {
  readonly #engine: ProxyEngine;
  readonly #deadline: Deadline;
  readonly #poolRow: number;
  readonly #endpointRow: number;
  readonly #admission: Admission | null;
  readonly #client: TunnelEnd;
  readonly #server: TunnelEnd;
  #openCount = 2;

  private constructor(engine: ProxyEngine, busy: BusyRows, client: TunnelSide, server: TunnelSide) {
    this.#engine = engine;
    this.#poolRow = busy.poolRow;
    this.#endpointRow = busy.endpointRow;
    this.#admission = busy.admission;
    this.#deadline = new Deadline(engine.wheel, this);
    this.#client = new TunnelEnd(this, client);
    this.#server = new TunnelEnd(this, server);
    engine.counters.add(Counter.tunnels_opened);
    engine.counters.add(Counter.tunnels_active);
    this.moved();
  }

  /** Takes both sockets over: from here on the connections hear only that they are closed. */
  static open(engine: ProxyEngine, busy: BusyRows, client: TunnelSide, server: TunnelSide): void {
    const tunnel = new Tunnel(engine, busy, client, server);
    tunnel.#client.join(tunnel.#server, server);
    tunnel.#server.join(tunnel.#client, client);
  }

  /** Something came, or left: not idle. */
  moved(): void {
    this.#deadline.set(this.#engine.limits.tunnelIdleTimeoutMs);
  }

  /** With its first end closed a tunnel is over, though the other may take its time to send what it still holds. */
  endClosed(): void {
    if (--this.#openCount === 0) {
      this.#deadline.release();
      return;
    }
    if (this.#admission !== null) this.#admission.requestEnds();
    else this.#engine.endpoints.attemptEnds(this.#poolRow, this.#endpointRow);
    this.#engine.counters.subtract(Counter.tunnels_active);
  }

  defect(error: unknown): void {
    this.#engine.counters.add(Counter.defects);
    this.#engine.onDefect(error);
  }

  onDeadline(): void {
    this.#engine.counters.add(Counter.limit_tunnel_idle_time);
    this.#client.socket.destroy();
    this.#server.socket.destroy();
  }
}

/** What is read on one side and written on the other. */
class TunnelEnd implements ByteReader {
  readonly socket: ByteSocket;
  readonly #tunnel: Tunnel;
  readonly #connection: ByteReader;
  #other: TunnelEnd = this;
  #hasEnded = false;
  #isClosed = false;

  constructor(tunnel: Tunnel, side: TunnelSide) {
    this.#tunnel = tunnel;
    this.socket = side.socket;
    this.#connection = side.connection;
  }

  /** Begins to be told what comes, and sends what came before on the other side. */
  join(other: TunnelEnd, otherSide: TunnelSide): void {
    this.#other = other;
    this.socket.setReader(this);
    const { early, earlyStart, earlyEnd, hasEnded } = otherSide;
    const goesOn = earlyStart === earlyEnd || this.#write(early, earlyStart, earlyEnd);
    if (hasEnded) this.#end();
    if (goesOn) otherSide.socket.resume();
    else otherSide.socket.pause();
  }

  onConnected(): void {}

  onBytes(from: ReadBuffer, length: number): void {
    this.#tunnel.moved();
    this.socket.readsLargeBody = length > textMaxBytes;
    if (!this.#other.#write(from, 0, length)) this.socket.pause();
  }

  #write(from: ReadBuffer, start: number, end: number): boolean {
    if (end - start <= textMaxBytes) return this.socket.writeText(from.bytes.toString("latin1", start, end));
    return this.socket.writeBytes("", from, start, end);
  }

  onDrain(): void {
    this.#tunnel.moved();
    this.#other.socket.resume();
  }

  onEnd(): void {
    this.#tunnel.moved();
    this.#other.#end();
  }

  /** The other side will send no more. */
  #end(): void {
    this.#other.#hasEnded = true;
    this.socket.end();
  }

  onFlushed(): void {}

  onClosed(error: NodeJS.ErrnoException | null): void {
    this.#isClosed = true;
    const other = this.#other;
    // Both have ended: what is still to leave on the other side may. Else it has to see that this one broke.
    if (!(this.#hasEnded && other.#hasEnded) && !other.#isClosed) other.socket.reset();
    this.#tunnel.endClosed();
    this.#connection.onClosed(error);
  }

  onDefect(error: unknown): void {
    this.#tunnel.defect(error);
  }
}
