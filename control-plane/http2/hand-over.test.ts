import { once } from "node:events";
import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { callForMuch } from "../../test/support/http2-floods.ts";
import { turnsOfTheLoop } from "../../test/support/sync-hub-rig.ts";
import { handOver } from "./hand-over.ts";
import { PacedSocket } from "./paced-socket.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] }));
afterEach(() => void vi.useRealTimers());

/** A session whose client reads nothing, and that has more to write than a connection holds. */
async function stuckSession(
  wrapped: (socket: Socket) => Duplex,
): Promise<{ session: ServerHttp2Session; socket: Socket }> {
  const http2 = createHttp2Server();
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    accepted.resolve(socket);
    handOver(http2, wrapped(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const called = once(http2, "stream");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.on("error", () => {});
  client.pause();
  client.write(callForMuch("/"));
  onTestFinished(async () => {
    client.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const [stream] = (await called) as [ServerHttp2Stream];
  stream.on("error", () => {});
  const session = stream.session as ServerHttp2Session;
  session.on("error", () => {});
  stream.respond();
  stream.write(Buffer.alloc(32 * 1024 * 1024));
  await turnsOfTheLoop();
  return { session, socket: await accepted.promise };
}

it.each([
  ["that node:http2 reads", (socket: Socket) => socket],
  ["that is read in pieces", (socket: Socket) => new PacedSocket(socket, 4_096)],
])("closes a connection %s when its session is over, whatever is still to be written", async (_which, wrapped) => {
  const { session, socket } = await stuckSession(wrapped);
  vi.advanceTimersByTime(5_000);
  await turnsOfTheLoop();
  expect(socket.destroyed).toBe(false);
  session.destroy();
  await turnsOfTheLoop();
  expect(socket.destroyed).toBe(false);
  const closed = once(socket, "close");
  vi.advanceTimersByTime(2_000);
  await closed;
});
