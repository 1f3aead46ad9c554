import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { UpstreamSocket } from "./upstream-socket.ts";

/** A connection that reads nothing by itself, its other end, and what it was told. */
async function open() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const memory = Buffer.alloc(16_384);
  const told: string[] = [];
  const onRead = {
    buffer: () => memory,
    callback: (length: number) => {
      told.push(memory.toString("latin1", 0, length));
      return true;
    },
  };
  const socket = new UpstreamSocket({ allowHalfOpen: true }, onRead);
  const errors: (string | undefined)[] = [];
  socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.syscall));
  socket.pause();
  socket.connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[other]] = (await Promise.all([once(server, "connection"), once(socket, "connect")])) as [[Socket], unknown];
  other.on("error", () => {});
  onTestFinished(() => {
    socket.destroy();
    other.destroy();
    server.close();
  });
  // Not events.once: it rejects at an error.
  const closed = new Promise((resolve) => socket.on("close", resolve));
  return { socket, other, told, errors, closed };
}

/** Sends bytes and resets the connection, as the kernel does for whoever closes with bytes unread. */
async function sendAndReset(other: Socket, bytes: string): Promise<void> {
  if (bytes !== "") await new Promise((resolve) => other.write(bytes, resolve));
  other.resetAndDestroy();
  await once(other, "close");
}

// Windows has no descriptors to read from.
const hasDescriptors = process.platform !== "win32";

describe("UpstreamSocket", () => {
  it.runIf(hasDescriptors).each([
    ["a short answer", "HTTP/1.1 413 No\r\n\r\n"],
    ["an answer that is read in pieces", "0123456789".repeat(4_000)],
  ])("tells what came before a reset when a write fails: %s", async (_, answer) => {
    const { socket, other, told, errors, closed } = await open();
    await sendAndReset(other, answer);
    socket.write("more of the body");
    await closed;
    expect(told.join("") === answer).toBe(true);
    expect(errors).toEqual(["write"]);
  });

  it("tells nothing where nothing came, and closes all the same", async () => {
    const { socket, other, told, errors, closed } = await open();
    await sendAndReset(other, "");
    socket.write("more of the body");
    await closed;
    expect([told, errors]).toEqual([[], ["write"]]);
  });

  it("tells nothing more once it is given up", async () => {
    const { socket, other, told, closed } = await open();
    await new Promise((resolve) => other.write("too late", resolve));
    socket.destroy();
    await closed;
    expect(told).toEqual([]);
  });
});
