import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { FewPerTurn, type Queued } from "../steps/few-per-turn.ts";
import { handOver } from "./hand-over.ts";

/** Read in one turn of the event loop, of all connections that have had one. */
const piecesPerTurn = 4;

/** Written: freeing less costs more than it gives. */
const keptMaxBytes = 1024;

interface Waiting extends Queued {
  readonly goOn: () => void;
}

const waiting = new FewPerTurn<Waiting>(piecesPerTurn, ({ goOn }) => goOn());

/**
 * Reads a connection in small pieces, between which the event loop turns. node:http2 reads from a net.Socket by itself, up
 * to 2 MB in one turn: 0.2 s for heads that HPACK makes large, in which nobody else is served
 * (`npm run prove -- sync-floods`).
 */
export class PacedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #pieceBytes: number;
  readonly #wait: Waiting = { isQueued: false, goOn: () => this.#goOn() };
  #isWaiting = false;
  /** Whether there is room for more. */
  #isWanted = false;
  #bytesLeft: number;

  /** @param pieceBytes read at a time, with all that comes of it before anybody else has a turn */
  constructor(socket: Socket, pieceBytes: number) {
    super();
    this.#socket = socket;
    this.#pieceBytes = pieceBytes;
    this.#bytesLeft = pieceBytes;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.once("end", () => this.push(null));
    // "close" follows, and is all that matters.
    socket.on("error", () => {});
    socket.once("close", () => this.destroy());
    socket.pause();
  }

  /** As TLS has agreed on it: false for nothing, undefined without TLS. node:http2 refuses who speaks something else. */
  get alpnProtocol(): string | false | null | undefined {
    return (this.#socket as Partial<TLSSocket>).alpnProtocol;
  }

  override _read(): void {
    this.#isWanted = true;
    if (!this.#isWaiting) this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, (error) => {
      if (!error) letGo(bytes);
      done(error);
    });
  }

  override _writev(pieces: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.cork();
    for (const { chunk } of pieces.slice(0, -1)) this.#socket.write(chunk);
    this.#socket.write(pieces.at(-1)!.chunk, (error) => {
      if (!error) for (const { chunk } of pieces) letGo(chunk);
      done(error);
    });
    this.#socket.uncork();
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  #take(bytes: Buffer): void {
    const piece = bytes.subarray(0, this.#bytesLeft);
    this.#bytesLeft -= piece.length;
    if (this.#bytesLeft === 0) {
      this.#isWaiting = true;
      this.#socket.pause();
      if (piece.length < bytes.length) this.#socket.unshift(bytes.subarray(piece.length));
      setImmediate(() => waiting.add(this.#wait));
    }
    // Asks for more by itself, if it wants any.
    this.#isWanted = false;
    if (!this.push(piece) && !this.#isWanted) this.#socket.pause();
  }

  #goOn(): void {
    this.#isWaiting = false;
    this.#bytesLeft = this.#pieceBytes;
    if (this.#isWanted) this.#socket.resume();
  }
}

/**
 * Frees what has been written at once. It is a copy that node:http2 has made for this: while snapshots go to nodes, 64 of
 * which are read so, up to 20 MB of them wait to be collected otherwise (`npm run prove -- thousand-nodes`).
 */
function letGo({ buffer, byteLength }: Buffer): void {
  if (byteLength >= keptMaxBytes && byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}

/** Hands a connection to HTTP/2, to be read in small pieces. */
export function servePaced(server: Http2Server, socket: Socket, pieceBytes: number): void {
  handOver(server, new PacedSocket(socket, pieceBytes), (session) => giveAddresses(session, socket));
}

/**
 * node:http2 puts a socket of its own before one that is not net's, and it knows no addresses. That it asks a handle for
 * them is nothing that Node promises: paced-socket.test.ts fails when it no longer does.
 */
function giveAddresses(
  session: ServerHttp2Session,
  { remoteAddress, remotePort, localAddress, localPort }: Socket,
): void {
  const handle = Reflect.get(session.socket, "_handle");
  const give = (address: string | undefined, port: number | undefined) => (out: object) => {
    Object.assign(out, { address, port, family: address?.includes(":") ? "IPv6" : "IPv4" });
    return 0;
  };
  Object.assign(handle, { getpeername: give(remoteAddress, remotePort), getsockname: give(localAddress, localPort) });
}
