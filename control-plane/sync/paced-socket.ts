import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { FewPerTurn, type Queued } from "./few-per-turn.ts";
import { handOver } from "./hand-over.ts";

/**
 * What is read of a connection at a time: first of 20 calls, and twice as much after a piece that took no longer than it may,
 * with all that it set going in its turn of the event loop; half as much after others. 64 KiB are 4 ms of HPACK at its
 * dearest, and a millisecond of an honest upload.
 */
const pieceMinBytes = 2 * 1024;
const pieceMaxBytes = 64 * 1024;
const msPerPiece = 5;
/** Of all connections, in one turn. */
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
  #pieceBytes = pieceMinBytes;
  readonly #wait: Waiting = { isQueued: false, goOn: () => this.#goOn() };
  #isWaiting = false;
  /** Whether there is room for more. */
  #isWanted = false;
  #bytesLeft = pieceMinBytes;

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

  /** As TLS has agreed on it: false for nothing, undefined without TLS. node:http2 refuses who speaks something else. */
  get alpnProtocol(): string | false | null | undefined {
    return (this.#socket as Partial<TLSSocket>).alpnProtocol;
  }

  override _read(): void {
    this.#isWanted = true;
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
      const beganMs = performance.now();
      setImmediate(() => {
        const isLate = performance.now() - beganMs > msPerPiece;
        this.#pieceBytes = isLate
          ? Math.max(pieceMinBytes, this.#pieceBytes / 2)
          : Math.min(pieceMaxBytes, this.#pieceBytes * 2);
        waiting.add(this.#wait);
      });
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

/** Hands a connection to HTTP/2, to be read in small pieces. */
export function servePaced(server: Http2Server, socket: Socket): void {
  handOver(server, new PacedSocket(socket), (session) => giveAddresses(session, socket));
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
