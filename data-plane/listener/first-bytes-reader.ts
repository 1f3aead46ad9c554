import { Problem } from "../http1/head-problem.ts";
import { type ProxyError, proxyError } from "../proxy/proxy-error.ts";
import type { ByteReader, ByteSocket } from "../socket/byte-socket.ts";
import { ReadBuffer } from "../socket/read-buffer.ts";
import { Spoken, sniffFirstBytes } from "./sniff-first-bytes.ts";

/** The connection as it is as long as nothing else is known of it. */
export interface UndecidedConnection extends ByteReader {
  readonly socket: ByteSocket;
  /** Answers something that is no request for it, and ends. @param code a Problem, negated */
  refuse(code: number, error: ProxyError): void;
}

/**
 * Reads a connection until its first bytes tell what it speaks, and then never again. The time for it is that of a
 * head, which runs from the connection's opening. HTTP/2 and TLS are answered in plain HTTP/1.1: whoever
 * looks at the bytes can read why.
 */
export class FirstBytesReader implements ByteReader {
  readonly #connection: UndecidedConnection;
  /** What came so far and leaves it open. */
  #seen: Buffer | null = null;

  constructor(connection: UndecidedConnection) {
    this.#connection = connection;
  }

  onBytes(from: ReadBuffer, length: number): void {
    const source = this.#seen === null ? from : this.#withSeen(this.#seen, from, length);
    const end = source === from ? length : source.bytes.length;
    switch (sniffFirstBytes(source.bytes, end)) {
      case Spoken.Undecided:
        this.#seen = Buffer.from(source.bytes.subarray(0, end));
        return;
      case Spoken.Http2:
        this.#decided().refuse(-Problem.Http2Preface, proxyError("version_not_supported"));
        return;
      case Spoken.Tls:
        this.#decided().refuse(-Problem.TlsOnPlainPort, proxyError("tls_on_plain_port"));
        return;
      default:
        this.#decided().onBytes(source, end);
    }
  }

  #withSeen(seen: Buffer, from: ReadBuffer, length: number): ReadBuffer {
    return new ReadBuffer(Buffer.concat([seen, from.bytes.subarray(0, length)]), false);
  }

  #decided(): UndecidedConnection {
    this.#connection.socket.setReader(this.#connection);
    return this.#connection;
  }

  /** Half a preface, and no more will come: HTTP/1 knows what to make of it. */
  onEnd(): void {
    const connection = this.#decided();
    if (this.#seen !== null) connection.onBytes(new ReadBuffer(this.#seen, false), this.#seen.length);
    connection.onEnd();
  }

  onConnected(): void {}

  onDrain(): void {}

  onFlushed(): void {
    this.#connection.onFlushed();
  }

  onClosed(error: NodeJS.ErrnoException | null): void {
    this.#connection.onClosed(error);
  }

  onDefect(error: unknown): void {
    this.#connection.onDefect(error);
  }
}
