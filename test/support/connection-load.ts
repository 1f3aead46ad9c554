import { connect, type Socket } from "node:net";

export interface ConnectionLoadOptions {
  readonly port: number;
  readonly path: string;
  readonly requestsPerSecond: number;
  /** Connections that are kept and used in turn; null: each request has a connection of its own. */
  readonly keptCount: number | null;
}

/** What a load came to. Nothing is ever sent twice, so every request that gets no 200 counts. */
export interface ConnectionLoadOutcome {
  sent: number;
  ok: number;
  failed: number;
  /** How requests failed, and how often. */
  readonly failures: Record<string, number>;
  /** Connections that were opened. */
  connections: number;
}

export interface ConnectionLoad {
  readonly outcome: ConnectionLoadOutcome;
  /** Sends no more and waits for what is under way. */
  stop(): Promise<ConnectionLoadOutcome>;
}

const stepMs = 2;
const answerTimeoutMs = 5_000;
/** Connections of one request each that may be open at a time; more requests wait. Each takes a file descriptor. */
const freshMax = 500;
const failureNames: Readonly<Record<string, string>> = { ECONNRESET: "reset", EPIPE: "reset", ECONNREFUSED: "refused" };

/** A connection and, while one is under way, its request. */
class LoadConnection {
  sentAtMs = Number.NaN;
  /** The other side has said that the connection ends, or it is gone. */
  isOver = false;
  readonly #socket: Socket;
  readonly #onAnswer: (connection: LoadConnection, failure: string | null) => void;
  #received = "";

  /** @param onAnswer called once per request, with why it has failed or null */
  constructor(port: number, onAnswer: (connection: LoadConnection, failure: string | null) => void) {
    this.#onAnswer = onAnswer;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (bytes) => this.#read(bytes));
    this.#socket.on("error", (error: NodeJS.ErrnoException) =>
      this.#end(failureNames[error.code ?? ""] ?? error.message),
    );
    this.#socket.on("end", () => this.#end("closed"));
    this.#socket.on("close", () => this.#end("closed"));
  }

  get isBusy(): boolean {
    return !Number.isNaN(this.sentAtMs);
  }

  send(request: string): void {
    this.sentAtMs = performance.now();
    this.#socket.write(request);
  }

  #read(bytes: Buffer): void {
    this.#received += bytes.toString("latin1");
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = this.#received.slice(0, headEnd);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#received.length < headEnd + 4 + length) return;
    if (/\r\nconnection: *close/i.test(head)) this.isOver = true;
    const status = this.#received.slice(9, 12);
    this.#received = "";
    this.#answered(status === "200" ? null : `status ${status}`);
  }

  #answered(failure: string | null): void {
    this.sentAtMs = Number.NaN;
    this.#onAnswer(this, failure);
    if (this.isOver) this.#socket.destroy();
  }

  #end(cause: string): void {
    this.isOver = true;
    if (this.isBusy) this.#answered(cause);
  }

  giveUp(): void {
    this.#end("no answer in time");
  }

  close(): void {
    this.isOver = true;
    this.#socket.destroy();
  }
}

/**
 * Sends requests at a steady rate. A kept connection is replaced when an answer said that it ends, or when its end
 * came while nothing was under way on it; a request that meets a closed connection has failed.
 */
export function startConnectionLoad(options: ConnectionLoadOptions): ConnectionLoad {
  const { port, path, requestsPerSecond, keptCount } = options;
  const lastLine = keptCount === null ? "Connection: close\r\n" : "";
  const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${lastLine}\r\n`;
  const outcome: ConnectionLoadOutcome = { sent: 0, ok: 0, failed: 0, failures: {}, connections: 0 };
  const busy = new Set<LoadConnection>();
  const idle: LoadConnection[] = [];
  let due = 0;
  let onIdle: (() => void) | null = null;

  const onAnswer = (connection: LoadConnection, failure: string | null): void => {
    busy.delete(connection);
    if (failure === null) outcome.ok++;
    else {
      outcome.failed++;
      outcome.failures[failure] = (outcome.failures[failure] ?? 0) + 1;
    }
    if (keptCount !== null) idle.push(connection.isOver ? open() : connection);
    if (busy.size === 0) onIdle?.();
  };
  const open = (): LoadConnection => {
    outcome.connections++;
    return new LoadConnection(port, onAnswer);
  };
  for (let i = 0; i < (keptCount ?? 0); i++) idle.push(open());

  const send = (): boolean => {
    // All are busy: the request waits for one, as behind a client's pool.
    if (keptCount === null ? busy.size >= freshMax : idle.length === 0) return false;
    const kept = idle.shift();
    const connection = kept === undefined || kept.isOver ? open() : kept;
    outcome.sent++;
    busy.add(connection);
    connection.send(request);
    return true;
  };
  const startedAtMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    due = Math.floor(((nowMs - startedAtMs) / 1_000) * requestsPerSecond);
    for (const connection of busy) {
      if (nowMs - connection.sentAtMs < answerTimeoutMs) break;
      connection.giveUp();
    }
    // After the poll phase: the end of an idle connection that has arrived by now is known.
    setImmediate(() => {
      while (outcome.sent < due && send());
    });
  }, stepMs);

  return {
    outcome,
    async stop() {
      clearInterval(timer);
      due = 0;
      const giveUp = setTimeout(() => {
        for (const connection of busy) connection.giveUp();
      }, answerTimeoutMs);
      if (busy.size > 0) await new Promise<void>((resolve) => (onIdle = resolve));
      clearTimeout(giveUp);
      for (const connection of idle) connection.close();
      return outcome;
    },
  };
}
