import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { floodUntilCutOff, http2Floods, plainTo } from "../../test/support/http2-floods.ts";
import { turnsOfTheLoop } from "../../test/support/sync-hub-rig.ts";
import { limitHeads } from "./limit-heads.ts";
import { PacedSocket, servePaced } from "./paced-socket.ts";

const pieceBytes = 4 * 1024;
/** Most that is read in one turn of the loop, of all connections. */
const bytesPerTurn = 4 * pieceBytes;

async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A client, and the connection as its server reads it. */
async function pair(): Promise<{ client: Socket; socket: Socket; paced: PacedSocket }> {
  const accepted = Promise.withResolvers<Socket>();
  const client = connect(await listen(accepted.resolve), "127.0.0.1");
  onTestFinished(() => void client.destroy());
  client.on("error", () => {});
  const socket = await accepted.promise;
  return { client, socket, paced: new PacedSocket(socket, pieceBytes) };
}

/** Calls after each turn of the event loop, until `promise` is settled. */
async function eachTurnUntil(promise: Promise<unknown>, turned: () => void): Promise<void> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  promise.then(over, over);
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    turned();
  }
}

const megabyte = Buffer.from(Array.from({ length: 1024 * 1024 }, (_, i) => (i * 31) & 255));

describe("PacedSocket", () => {
  it("reads a little in each turn of the event loop, and all in the end", async () => {
    const pairs = [await pair(), await pair()];
    let inTurnBytes = 0;
    let mostBytes = 0;
    const read = pairs.map(({ client, paced }) => {
      client.end(megabyte);
      paced.on("data", (bytes: Buffer) => (inTurnBytes += bytes.length));
      return buffer(paced);
    });
    await eachTurnUntil(Promise.all(read), () => {
      mostBytes = Math.max(mostBytes, inTurnBytes);
      inTurnBytes = 0;
    });
    for (const bytes of await Promise.all(read)) expect(bytes.equals(megabyte)).toBe(true);
    expect(mostBytes).toBeLessThanOrEqual(bytesPerTurn);
  });

  it("writes all in order", async () => {
    const { client, paced } = await pair();
    const received = buffer(client);
    paced.write(megabyte.subarray(0, 10));
    paced.cork();
    paced.write(megabyte.subarray(10, 20));
    paced.write(megabyte.subarray(20, 500_000));
    paced.uncork();
    paced.end(megabyte.subarray(500_000));
    expect((await received).equals(megabyte)).toBe(true);
  });

  it("frees what has been written to it, where that is all that there is in its memory", async () => {
    const { client, paced } = await pair();
    const received = buffer(client);
    const whole = new Uint8Array(100_000).fill(1);
    const others = new Uint8Array(100_000).fill(2);
    const pieces = [Buffer.from(whole.buffer), Buffer.from(others.buffer, 0, 50_000)];
    await new Promise((resolve) => paced.write(pieces[0], resolve));
    paced.cork();
    const corked = new Uint8Array(100_000).fill(3);
    paced.write(Buffer.from(corked.buffer));
    paced.end(pieces[1]);
    await once(paced, "finish");
    expect([whole, corked, others].map(({ length }) => length)).toEqual([0, 0, 100_000]);
    const bytes = await received;
    expect([bytes.length, bytes[0], bytes[100_000], bytes[200_000]]).toEqual([250_000, 1, 3, 2]);
  });

  it("takes no more from who writes to it than somebody reads", async () => {
    const { client, socket, paced } = await pair();
    paced.once("data", () => paced.pause());
    const pieceCount = 300;
    for (let i = 0; i < pieceCount; i++) {
      // A whole piece each time, which could have it go on by itself.
      client.write(Buffer.alloc(pieceBytes));
      await turnsOfTheLoop();
    }
    expect(paced.readableLength).toBeLessThanOrEqual(paced.readableHighWaterMark + pieceBytes);
    expect(socket.bytesRead).toBeLessThan((pieceCount * pieceBytes) / 2);
    const read = buffer(paced);
    client.end();
    // The first piece was read before.
    expect((await read).length).toBe((pieceCount - 1) * pieceBytes);
  });

  it("ends, and is gone, with its connection, also one that is reset", async () => {
    const ended = await pair();
    ended.client.end();
    ended.paced.resume();
    await once(ended.paced, "end");
    const reset = await pair();
    reset.client.resetAndDestroy();
    reset.paced.resume();
    await once(reset.paced, "close");
    expect(reset.paced.errored).toBeNull();
    const destroyed = await pair();
    destroyed.client.resume();
    destroyed.paced.destroy();
    await once(destroyed.client, "close");
  });
});

describe("servePaced", () => {
  async function rig() {
    const http2 = createHttp2Server();
    const sockets: Socket[] = [];
    const port = await listen((socket) => {
      sockets.push(socket);
      servePaced(http2, socket, pieceBytes);
    });
    return { http2, port, sockets };
  }

  it("tells HTTP/2 where a connection comes from and came to", async () => {
    const { http2, port } = await rig();
    http2.on("stream", (stream: ServerHttp2Stream) => {
      const { remoteAddress, remotePort, localAddress, localPort } = stream.session!.socket;
      stream.respond();
      stream.end(JSON.stringify({ remoteAddress, remotePort, localAddress, localPort }));
    });
    const client = connectHttp2(`http://127.0.0.1:${port}`);
    onTestFinished(() => client.destroy());
    const told: unknown = JSON.parse(String(await buffer(client.request({ ":path": "/" }))));
    const address = "127.0.0.1";
    const remotePort = client.socket.localPort;
    expect(told).toEqual({ remoteAddress: address, remotePort, localAddress: address, localPort: port });
  });

  it("has HTTP/2 read a flood a little at a time", async () => {
    const { http2, port, sockets } = await rig();
    http2.on("session", limitHeads);
    const flood = http2Floods("/").find(({ name }) => name === "heads that become large")!;
    let beforeBytes = 0;
    let mostBytes = 0;
    const flooding = floodUntilCutOff(plainTo(port), flood);
    await eachTurnUntil(flooding, () => {
      const readBytes = sockets[0]?.bytesRead ?? 0;
      mostBytes = Math.max(mostBytes, readBytes - beforeBytes);
      beforeBytes = readBytes;
    });
    // Node reads 64 KiB at a time, and those before it is told to rest.
    expect(mostBytes).toBeLessThanOrEqual(192 * 1024);
    expect((await flooding).frameCount).toBeGreaterThan(0);
  });
});
