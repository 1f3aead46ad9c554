import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Whether something answers at the address; the reason when nothing does, null when it does. */
export type HttpPing = (address: string, port: number, timeoutMs: number) => Promise<string | null>;

/** Asks for nothing in particular (RFC 9110 section 9.3.7): every server has an answer, be it that it has none. */
const question = "OPTIONS * HTTP/1.1\r\nHost: penstock-ping\r\nConnection: close\r\n\r\n";

/**
 * Sends a request that changes nothing and waits for the first byte of any answer. What hangs takes connections all the
 * same, so that connecting does not tell. Where the connection is ended without a word, as servers do that speak TLS and
 * nothing else, a handshake is begun instead. Never rejects.
 *
 * @param timeoutMs for each of the two
 */
export const httpPing: HttpPing = async (address, port, timeoutMs) => {
  const socket = connect({ host: address, port });
  socket.once("connect", () => socket.write(question));
  const problem = await firstWord(socket, timeoutMs);
  if (problem !== "closed" && problem !== "ECONNRESET") return problem;
  // Who it is does not matter: nothing is sent there and nothing is believed.
  const secure = connectTls({ host: address, port, rejectUnauthorized: false });
  return (await firstWord(secure, timeoutMs)) === null ? null : problem;
};

function firstWord(socket: Socket, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish("timeout"), timeoutMs);
    timer.unref();
    socket.unref();
    const finish = (problem: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem);
    };
    socket.once("secureConnect", () => finish(null));
    socket.once("data", () => finish(null));
    socket.once("end", () => finish("closed"));
    // Kept for good: a reset after the answer must not become an uncaught exception.
    socket.on("error", ({ code, message }: NodeJS.ErrnoException) => {
      // An alert is a word as well.
      finish(code?.startsWith("ERR_SSL") ? null : (code ?? message));
    });
  });
}
