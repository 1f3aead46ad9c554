import { connect } from "node:net";

/** What came back on a connection of its own until the other side closed it. */
export interface RawAnswer {
  readonly text: string;
  readonly status: number;
  readonly body: string;
  /** false: the connection was reset instead of closed. */
  readonly isCleanEnd: boolean;
}

/** Sends bytes on a fresh connection and reads until it is closed. Errors: rejects when nothing closes it in time. */
export function sendRaw(port: number, bytes: string | Buffer, timeoutMs = 15_000): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    const finish = (isCleanEnd: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      const text = Buffer.concat(chunks).toString("latin1");
      const headEnd = text.indexOf("\r\n\r\n");
      resolve({
        text,
        status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0),
        body: headEnd < 0 ? "" : text.slice(headEnd + 4),
        isCleanEnd,
      });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new Error(
          `the connection was still open after ${timeoutMs} ms; got: ${Buffer.concat(chunks).toString("latin1").slice(0, 200)}`,
        ),
      );
    }, timeoutMs);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => finish(true));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ECONNREFUSED" ? reject(error) : finish(false),
    );
    socket.write(bytes);
  });
}

/** One GET on a fresh connection, with `Connection: close`. */
export function getFresh(port: number, path: string, host = "localhost"): Promise<RawAnswer> {
  return sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
}
