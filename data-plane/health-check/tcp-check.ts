import { connect } from "node:net";

/** Whether a TCP connection to the address comes about; the reason when it does not, null when it does. */
export type TcpCheck = (address: string, port: number, timeoutMs: number) => Promise<string | null>;

/** Connects and closes again. Never rejects. */
export const tcpCheck: TcpCheck = (address, port, timeoutMs) =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: timeoutMs });
    socket.unref();
    const finish = (problem: string | null) => {
      socket.destroy();
      resolve(problem);
    };
    socket.once("connect", () => finish(null));
    socket.once("timeout", () => finish("timeout"));
    // Kept for good: a reset after the answer must not become an uncaught exception.
    socket.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
