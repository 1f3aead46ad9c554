import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import net from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { floodUntilCutOff, framesMax, http2Floods, plainTo } from "../../test/support/http2-floods.ts";
import { type ConnectionTls, openSyncListener } from "./sync-listener.ts";

const limits = { connectionMaxCount: 100, messageMaxBytes: 1_000, keepaliveMs: 10_000, keepaliveTimeoutMs: 10_000 };

/** As if there were TLS. */
function connectionsOf({ isVerified }: { readonly isVerified: boolean }): ConnectionTls {
  return { serve: (inject) => ({ accept: (connection) => inject(connection, isVerified) }) };
}

/** How many connections the listener took in each turn of the event loop, until it has taken so many that come at once. */
async function takenByTurn(count: number): Promise<readonly number[]> {
  let turn = 0;
  let isOver = false;
  const countTurns = () => {
    turn++;
    if (!isOver) setImmediate(countTurns);
  };
  setImmediate(countTurns);
  const counts: number[] = [];
  const taken = Promise.withResolvers<void>();
  let takenCount = 0;
  const accept = (connection: net.Socket) => {
    connection.destroy();
    counts[turn] = (counts[turn] ?? 0) + 1;
    if (++takenCount === count) taken.resolve();
  };
  const listener = await openSyncListener({
    ...{ ...limits, closeGraceMs: 0, listen: [{ host: "127.0.0.1", port: 0 }], onConnect: () => {} },
    tls: { serve: () => ({ accept }) },
  });
  onTestFinished(() => listener.close());
  const { port } = listener.addresses[0]!;
  const clients = Array.from({ length: count }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
  await taken.promise;
  for (const client of clients) client.destroy();
  isOver = true;
  return Object.values(counts);
}

it("takes few of many connections in a turn of the event loop", async () => {
  const counts = await takenByTurn(60);
  expect(counts.reduce((sum, one) => sum + one)).toBe(60);
  // As they come, and again when those that wait have their turn.
  expect(Math.max(...counts)).toBeLessThanOrEqual(16);
});

it.each([
  { connectionCount: 1, what: "that gRPC has" },
  { connectionCount: 60, what: "that wait for their turn" },
])("closes with connections $what and whose other side does nothing", async ({ connectionCount }) => {
  const listener = await openSyncListener({
    ...{ ...limits, closeGraceMs: 0, listen: [{ host: "127.0.0.1", port: 0 }], onConnect: () => {} },
  });
  const { port } = listener.addresses[0]!;
  const clients = Array.from({ length: connectionCount }, () => net.connect(port, "127.0.0.1").on("error", () => {}));
  const closed = clients.map((client) => new Promise((resolve) => client.once("close", resolve)));
  await Promise.all(clients.map((client) => new Promise((resolve) => client.once("connect", resolve))));
  if (connectionCount === 1) await new Promise((resolve) => setImmediate(resolve));
  await listener.close();
  for (const client of clients) client.resume();
  await Promise.all(closed);
});

it("takes a hundred calls at most of a node that resets each, and cuts it off", async () => {
  let callCount = 0;
  const listener = await openSyncListener({
    ...{ ...limits, closeGraceMs: 0, listen: [{ host: "127.0.0.1", port: 0 }], onConnect: () => void callCount++ },
    tls: connectionsOf({ isVerified: true }),
  });
  onTestFinished(() => listener.close());
  const floods = http2Floods("/penstock.sync.v1.SyncAPI/Connect");
  const flood = floods.find(({ name }) => name === "calls that it resets")!;
  expect((await floodUntilCutOff(plainTo(listener.addresses[0]!.port), flood)).frameCount).toBeLessThan(framesMax);
  expect(callCount).toBeGreaterThan(0);
  expect(callCount).toBeLessThanOrEqual(101);
});

/** Calls `accepted` with each socket of any server in this process until the test has ended. */
function onAccepted(accepted: (socket: net.Socket) => void): void {
  const listen = (message: unknown) => accepted((message as { socket: net.Socket }).socket);
  subscribe("net.server.socket", listen);
  onTestFinished(() => void unsubscribe("net.server.socket", listen));
}

/** HTTP/2 reads a socket of Node's by itself, and nothing comes past its listeners. */
const isPaced = (socket: net.Socket) => socket.listenerCount("data") > 0;

/** An HTTP/2 client that has had an answer. */
async function served(port: number): Promise<ClientHttp2Session> {
  const client = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => client.destroy());
  client.on("error", () => {});
  const stream = client.request({ ":method": "POST", ":path": "/a.B/C", "content-type": "application/grpc" });
  stream.resume();
  stream.end();
  const [trailers] = await once(stream, "response");
  expect(trailers["grpc-status"]).toBe("12");
  return client;
}

it.each([
  { isVerified: false, who: "strangers", isInPieces: true },
  { isVerified: true, who: "nodes", isInPieces: false },
])("reads in small pieces, over TLS, of $who: $isInPieces", async ({ isVerified, isInPieces }) => {
  const listener = await openSyncListener({
    ...{ ...limits, closeGraceMs: 0, listen: [{ host: "127.0.0.1", port: 0 }], onConnect: () => {} },
    tls: connectionsOf({ isVerified }),
  });
  onTestFinished(() => listener.close());
  const accepted = Promise.withResolvers<net.Socket>();
  onAccepted(accepted.resolve);
  await served(listener.addresses[0]!.port);
  expect(isPaced(await accepted.promise)).toBe(isInPieces);
});

it("reads in small pieces, without TLS, of 64 at a time", async () => {
  const listener = await openSyncListener({
    ...{ ...limits, closeGraceMs: 0, listen: [{ host: "127.0.0.1", port: 0 }], onConnect: () => {} },
  });
  onTestFinished(() => listener.close());
  const sockets: net.Socket[] = [];
  onAccepted((socket) => void sockets.push(socket));
  const { port } = listener.addresses[0]!;
  const [first] = await Promise.all([served(port), ...Array.from({ length: 63 }, () => served(port))]);
  await served(port);
  expect(sockets.map(isPaced)).toEqual([...Array.from({ length: 64 }, () => true), false]);
  const gone = Promise.race(sockets.map((socket) => once(socket, "close")));
  first.destroy();
  await gone;
  await served(port);
  expect(isPaced(sockets.at(-1)!)).toBe(true);
});
