import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** What came back on one connection. */
export interface RawExchange {
  readonly text: string;
  /** How the connection stood when we stopped: "open" when the text was enough, "silent" when it never was. */
  readonly end: "end" | "reset" | "open" | "silent";
}

export interface RawExchangeOptions {
  /** Looked at with every piece; true ends the exchange from our side. Default: until the other side closes. */
  readonly isEnough?: (text: string) => boolean;
  /** Half-closes after the bytes. */
  readonly ends?: boolean;
  /** Positions, in ascending order, at which the bytes are cut into writes of their own. */
  readonly cuts?: readonly number[];
  /** Gives up; default 5,000. */
  readonly timeoutMs?: number;
  /** Over TLS, whatever certificate is shown. */
  readonly isTls?: boolean;
}

/** Sends the bytes, in one piece unless told otherwise, on a connection of their own and collects what comes back. */
export function rawExchange(port: number, bytes: string, options: RawExchangeOptions = {}): Promise<RawExchange> {
  return new Promise((resolve) => {
    let text = "";
    let end: RawExchange["end"] = "end";
    const carrier = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    const socket = options.isTls ? connectTls({ socket: carrier, rejectUnauthorized: false }) : carrier;
    const finish = (how: RawExchange["end"]) => {
      end = how;
      socket.destroy();
    };
    const timer = setTimeout(() => finish("silent"), options.timeoutMs ?? 5_000);
    socket.on("error", () => {
      end = "reset";
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve({ text, end });
    });
    socket.on("end", () => socket.destroy());
    socket.on("data", (piece) => {
      text += piece.toString("latin1");
      if (options.isEnough?.(text) === true) finish("open");
    });
    void writePieces(socket, bytes, options);
  });
}

async function writePieces(socket: Socket, bytes: string, options: RawExchangeOptions): Promise<void> {
  let from = 0;
  for (const cut of options.cuts ?? []) {
    // Each piece is handed to the kernel before the next is written: the other side reads them apart, mostly.
    await new Promise((resolve) => socket.write(bytes.slice(from, cut), "latin1", () => setImmediate(resolve)));
    from = cut;
  }
  if (socket.destroyed) return;
  if (options.ends === true) socket.end(bytes.slice(from), "latin1");
  else socket.write(bytes.slice(from), "latin1");
}
