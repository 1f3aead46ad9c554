import { connect } from "node:net";

/** Whether something answers at the address; the reason when nothing does, null when it does. */
export type HttpPing = (address: string, port: number, timeoutMs: number) => Promise<string | null>;

/** Asks for nothing in particular (RFC 9110 section 9.3.7): every server has an answer, be it that it has none. */
const question = "OPTIONS * HTTP/1.1\r\nHost: penstock-ping\r\nConnection: close\r\n\r\n";

/**
 * Sends a request that changes nothing and waits for the first byte of any answer: also one of TLS that this is not TLS.
 * What hangs takes connections all the same, so that connecting does not tell. Never rejects.
 */
export const httpPing: HttpPing = (address, port, timeoutMs) =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const timer = setTimeout(() => finish("timeout"), timeoutMs);
    timer.unref();
    socket.unref();
    const finish = (problem: string | null) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(problem);
    };
    socket.once("connect", () => socket.write(question));
    socket.once("data", () => finish(null));
    socket.once("end", () => finish("closed"));
    // Kept for good: a reset after the answer must not become an uncaught exception.
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
