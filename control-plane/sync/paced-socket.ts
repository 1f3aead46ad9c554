import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { FewPerTurn, type Queued } from "./few-per-turn.ts";

/** Read of a connection at a time: what a millisecond of HPACK at its dearest comes of, or 150 calls. */
const pieceBytes = 4 * 1024;
/** Of all connections, in one turn of the event loop. */
const piecesPerTurn = 4;

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
  readonly #wait: Waiting = { isQueued: false, goOn: () => this.#goOn() };
  #isWaiting = false;
  #bytesLeft = pieceBytes;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#take(bytes));
    socket.once("end", () => this.push(null));
    // "close" follows, and is all that matters.
    socket.on("error", () => {});
    socket.once("close", () => this.destroy());
    socket.pause();
  }

  override _read(): void {
    if (!this.#isWaiting) this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, done);
  }

  override _writev(pieces: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.cork();
    for (const [i, { chunk }] of pieces.entries())
      this.#socket.write(chunk, i === pieces.length - 1 ? done : undefined);
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
    if (!this.push(piece)) this.#socket.pause();
  }

  #goOn(): void {
    this.#isWaiting = false;
    this.#bytesLeft = pieceBytes;
    this.#socket.resume();
  }
}

/** Hands a connection to HTTP/2, to be read in small pieces. */
export function servePaced(server: Http2Server, socket: Socket): void {
  server.once("session", (session) => giveAddresses(session, socket));
  server.emit("connection", new PacedSocket(socket));
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
