import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { openUpstreamSocket } from "./connect.ts";
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

/** A connection as the proxy has it, whose reader takes nothing yet. @param restsAgain after each piece */
async function openResting(restsAgain = false) {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const told: string[] = [];
  let isClosed = false;
  const connected = Promise.withResolvers<void>();
  const ignore = () => {};
  const socket = openUpstreamSocket(
    new ReadBuffers(),
    {
      onConnected: () => {
        socket.pause();
        connected.resolve();
      },
      onBytes: (from, length) => {
        told.push(from.bytes.toString("latin1", 0, length));
        if (restsAgain) socket.pause();
      },
      onEnd: ignore,
      onDrain: ignore,
      onFlushed: ignore,
      onClosed: () => {
        isClosed = true;
      },
      onDefect: ignore,
    },
    { address: "127.0.0.1", port: (server.address() as AddressInfo).port, link: null },
  );
  const [[other]] = (await Promise.all([once(server, "connection"), connected.promise])) as [[Socket], unknown];
  other.on("error", ignore);
  onTestFinished(() => {
    socket.destroy();
    other.destroy();
    server.close();
  });
  /** What a turn of the event loop leaves to the next is done. */
  const settled = async () => {
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { socket, other, told, settled, isClosed: () => isClosed };
}

describe("openUpstreamSocket", () => {
  it.runIf(hasDescriptors)(
    "keeps what came before a failed write for a reader that rests, and then closes",
    async () => {
      const { socket, other, told, settled, isClosed } = await openResting();
      const answer = "0123456789".repeat(4_000);
      await sendAndReset(other, answer);
      socket.writeText("more of the body");
      await settled();
      expect([told, isClosed()]).toEqual([[], false]);
      socket.resume();
      await settled();
      expect([told.join("") === answer, isClosed()]).toEqual([true, true]);
    },
  );

  it.runIf(hasDescriptors)("tells of the close, too, to a reader that rests again with the last of it", async () => {
    const { socket, other, told, settled, isClosed } = await openResting(true);
    await sendAndReset(other, "all of it");
    socket.writeText("more of the body");
    await settled();
    socket.resume();
    await settled();
    expect([told, isClosed()]).toEqual([["all of it"], false]);
    socket.resume();
    await settled();
    expect(isClosed()).toBe(true);
  });

  it.runIf(hasDescriptors)("is given up between the failed write and the close", async () => {
    const { socket, other, told, settled, isClosed } = await openResting();
    await sendAndReset(other, "too late");
    socket.writeText("more of the body");
    await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
    socket.destroy();
    await settled();
    expect([told, isClosed()]).toEqual([[], true]);
  });

  it.runIf(hasDescriptors)("keeps nothing for a reader that gives it up", async () => {
    const { socket, other, told, settled, isClosed } = await openResting();
    await sendAndReset(other, "too late");
    socket.writeText("more of the body");
    await settled();
    socket.destroy();
    await settled();
    expect([told, isClosed()]).toEqual([[], true]);
  });
});
