import { type AddressInfo, connect, createServer, type OnReadOpts, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type ByteReader, PlainSocket } from "./byte-socket.ts";
import { type ReadBuffer, ReadBuffers } from "./read-buffer.ts";

const opened: Socket[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

/** A reader that does nothing but what a test gives it. */
function reader(calls: Partial<ByteReader>): ByteReader {
  const nothing = () => {};
  return {
    onConnected: nothing,
    onBytes: nothing,
    onEnd: nothing,
    onDrain: nothing,
    onFlushed: nothing,
    onClosed: nothing,
    onDefect: nothing,
    ...calls,
  };
}

/** A connected PlainSocket and the plain socket at its other end. */
async function pair(buffers: ReadBuffers, calls: Partial<ByteReader>): Promise<{ plain: PlainSocket; peer: Socket }> {
  const server = createServer({ noDelay: true });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const connected = Promise.withResolvers<void>();
  const plain = new PlainSocket(buffers, reader({ ...calls, onConnected: () => connected.resolve() }));
  const port = (server.address() as AddressInfo).port;
  const socket = connect({ port, host: "127.0.0.1", onread: plain.onRead() as OnReadOpts });
  plain.attach(socket);
  const [peer] = await Promise.all([accepted, connected.promise]);
  server.close();
  peer.on("error", () => {});
  opened.push(socket, peer);
  return { plain, peer };
}

const pieceBytes = 20_000;
const pieceCount = 8;

/** Resolves with every byte that comes until there are so many. */
async function receive(peer: Socket, total: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of peer as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length >= total) break;
  }
  return Buffer.concat(pieces);
}

describe("PlainSocket", () => {
  // If a buffer is read into while a write of it is pending, the peer gets later bytes in the place of earlier ones.
  it.each([
    ["the shared buffer", false],
    ["a buffer of its own", true],
  ])("never reads into bytes that wait to be written: %s", async (_, readsLargeBody) => {
    const buffers = new ReadBuffers();
    const to = await pair(buffers, {});
    to.peer.pause();
    // Fill what the kernel takes, until a write stays pending.
    const filler = "f".repeat(65_536);
    let filled = 0;
    do filled += filler.length;
    while (to.plain.writeText(filler));
    let received = 0;
    let wake: () => void = () => {};
    const sources = new Set<ReadBuffer>();
    const from = await pair(buffers, {
      onBytes(source, length) {
        sources.add(source);
        from.plain.readsLargeBody = readsLargeBody;
        to.plain.writeBytes("", source, 0, length);
        received += length;
        wake();
      },
    });
    for (let piece = 0; piece < pieceCount; piece++) {
      from.peer.write(Buffer.alloc(pieceBytes, 0x61 + piece));
      while (received < (piece + 1) * pieceBytes) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    const bytes = await receive(to.peer, filled + pieceCount * pieceBytes);
    for (let piece = 0; piece < pieceCount; piece++) {
      const start = filled + piece * pieceBytes;
      const want = Buffer.alloc(pieceBytes, 0x61 + piece);
      expect(bytes.subarray(start, start + pieceBytes).equals(want), `piece ${piece}`).toBe(true);
    }
    expect(sources.size).toBeGreaterThanOrEqual(readsLargeBody ? 2 : 1);
  });

  it("uses one buffer again and again when its bytes leave at once", async () => {
    const buffers = new ReadBuffers();
    const to = await pair(buffers, {});
    const sources = new Set<ReadBuffer>();
    let received = 0;
    let wake: () => void = () => {};
    const from = await pair(buffers, {
      onBytes(source, length) {
        sources.add(source);
        from.plain.readsLargeBody = true;
        to.plain.writeBytes("", source, 0, length);
        received += length;
        wake();
      },
    });
    for (let piece = 1; piece <= 50; piece++) {
      from.peer.write(Buffer.alloc(pieceBytes, piece));
      while (received < piece * pieceBytes) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      await receiveSome(to.peer);
    }
    expect([...sources].filter((source) => !source.isShared)).toHaveLength(1);
  });

  it("writes text and bytes in their order", async () => {
    const buffers = new ReadBuffers();
    const { plain, peer } = await pair(buffers, {});
    buffers.shared.bytes.write("..bytes..");
    plain.writeText("a");
    plain.writeBytes("b", buffers.shared, 2, 7);
    plain.writeText("\xff");
    expect((await receive(peer, 8)).toString("latin1")).toBe("abbytes\xff");
  });

  it("holds memory for a copy only until the bytes have left", async () => {
    const buffers = new ReadBuffers();
    const drained = Promise.withResolvers<void>();
    const { plain, peer } = await pair(buffers, { onDrain: () => drained.resolve() });
    plain.writeBytes("", buffers.shared, 0, 5);
    expect(buffers.ownCount).toBe(0);
    peer.pause();
    while (plain.writeBytes("", buffers.shared, 0, 65_536));
    // What comes behind has memory of its own size.
    plain.writeBytes("", buffers.shared, 0, 5);
    expect(buffers.ownCount).toBe(1);
    peer.resume();
    await drained.promise;
    expect(buffers.ownCount).toBe(0);
  });

  it("copies all the same when too much of that memory is out", async () => {
    const buffers = new ReadBuffers();
    while (buffers.take() !== null);
    const { plain, peer } = await pair(buffers, {});
    buffers.shared.bytes.write("bytes");
    plain.writeBytes("a ", buffers.shared, 0, 5);
    buffers.shared.bytes.write("later");
    expect((await receive(peer, 7)).toString("latin1")).toBe("a bytes");
  });

  it("keeps an error in a reader to its own connection", async () => {
    const defects: unknown[] = [];
    const closed = Promise.withResolvers<void>();
    const { peer } = await pair(new ReadBuffers(), {
      onBytes: () => {
        throw new Error("a defect");
      },
      onDefect: (error) => defects.push(error),
      onClosed: () => closed.resolve(),
    });
    peer.write("x");
    await closed.promise;
    expect(defects).toEqual([new Error("a defect")]);
  });

  it("tells a regular end, then its close", async () => {
    const told: string[] = [];
    const closed = Promise.withResolvers<void>();
    const { plain, peer } = await pair(new ReadBuffers(), {
      onEnd: () => {
        told.push("end");
        plain.destroy();
      },
      onClosed: () => {
        told.push("closed");
        closed.resolve();
      },
    });
    peer.end();
    await closed.promise;
    expect(told).toEqual(["end", "closed"]);
  });
});

async function receiveSome(peer: Socket): Promise<void> {
  while (peer.read() === null) await new Promise((resolve) => peer.once("readable", resolve));
}
