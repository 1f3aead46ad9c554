import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** Bytes are passed on this often, as many as have their turn. */
const stepMs = 10;

export interface SlowLinkOptions {
  /** How long each byte is under way. */
  readonly delayMs: number;
  /** In each direction of each connection, at most. */
  readonly bytesPerSecond: number;
}

/**
 * A TCP forwarder that passes on a little at a time, and late, until the test is over. What it cannot pass on yet it
 * does not read, but for 64 KiB, so that the rest piles up where it comes from, as on a real link.
 * @param to host:port of what is behind it
 * @returns host:port to connect to instead
 */
export async function openSlowLink(to: string, { delayMs, bytesPerSecond }: SlowLinkOptions): Promise<string> {
  const at = to.lastIndexOf(":");
  const sockets = new Set<Socket>();
  const pieceBytes = Math.max(1, Math.floor((bytesPerSecond * stepMs) / 1_000));
  const carry = (from: Socket, other: Socket) => {
    sockets.add(from);
    const later = (run: () => void) => setTimeout(run, delayMs);
    from.on("error", () => from.destroy());
    from.on("close", () => {
      sockets.delete(from);
      later(() => other.destroy());
    });
    from.on("data", (bytes) => {
      from.pause();
      let passed = 0;
      const pass = () => {
        const piece = bytes.subarray(passed, passed + pieceBytes);
        passed += piece.length;
        later(() => other.write(piece));
        setTimeout(() => (passed < bytes.length ? pass() : from.resume()), stepMs);
      };
      pass();
    });
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: to.slice(0, at), port: Number(to.slice(at + 1)), noDelay: true });
    carry(near, far);
    carry(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
