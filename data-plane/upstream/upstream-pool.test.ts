import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { ReadBuffers } from "../socket/read-buffer.ts";
import { DeadlineWheel, tickMs } from "./deadline-wheel.ts";
import type { ResponseReceiver, UpstreamConnection } from "./http1-client.ts";
import { UpstreamPool } from "./upstream-pool.ts";

let server: Server;
let sockets: Socket[];
/** Further lines of the server's answers. */
let answerLines = "";
/** How many of the server's sockets are closed. */
const closedCount = () => sockets.filter((socket) => socket.closed).length;
beforeEach(async () => {
  sockets = [];
  answerLines = "";
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", () => socket.write(`HTTP/1.1 204 No Content\r\n${answerLines}\r\n`));
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

function endpoint(row = 0): EndpointConfig {
  const { port } = server.address() as AddressInfo;
  return testEndpoint({ row, port });
}

/** Sends a request on a connection; resolves at the answer's end with "end", or with the loss. */
function exchange(connection: UpstreamConnection): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const send = () => {
    connection.socket.writeText("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.requestSent();
  };
  const receiver: ResponseReceiver = {
    onUpstreamConnected: send,
    onInterimHead() {},
    onContinueTimeout() {},
    onUpgrade() {},
    onResponseHead() {},
    onResponseBytes() {},
    onResponseTrailers() {},
    onResponseFlush() {},
    onResponseEnd: () => resolve("end"),
    onUpstreamDrain() {},
    onUpstreamLost: (loss) => resolve(loss),
  };
  connection.begin(receiver, false, false);
  if (connection.isConnected) send();
  return promise;
}

function pool(options = {}) {
  const wheel = new DeadlineWheel((error) => {
    throw error;
  });
  return { wheel, pool: new UpstreamPool(wheel, new ReadBuffers(), options) };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe("UpstreamPool", () => {
  it("keeps and opens, while descriptors are nearly used up, only in the place of what was idle for longest", async () => {
    const { pool: upstreams } = pool();
    const [a, b] = [1, 2].map((row) => upstreams.connectionsTo({ ...endpoint(row), address: `127.0.0.${row}` }));
    const opened = [a!.open(), a!.open(), b!.open()];
    for (const connection of opened) await exchange(connection);
    expect([upstreams.openCount, upstreams.idleCount]).toEqual([3, 3]);
    upstreams.isTight = true;
    const another = b!.open();
    expect([a!.idleCount, b!.idleCount, upstreams.openCount]).toEqual([1, 1, 3]);
    expect(a!.takeIdle()).toBe(opened[1]);
    a!.keep(opened[1]!);
    // Of a, which was kept last, nothing is closed while b has something idle.
    expect([a!.idleCount, b!.idleCount, upstreams.openCount]).toEqual([1, 0, 2]);
    await exchange(another);
    expect([a!.idleCount, b!.idleCount, upstreams.openCount]).toEqual([0, 1, 1]);
    expect(b!.takeIdle()).toBe(another);
    b!.keep(another);
    expect([upstreams.openCount, upstreams.idleCount]).toEqual([1, 1]);
    upstreams.closeSomeIdle(5);
    expect([upstreams.openCount, upstreams.idleCount]).toEqual([0, 0]);
  });

  it("gives the connection that was used last", async () => {
    const connections = pool().pool.connectionsTo(endpoint());
    const [first, second] = [connections.open(), connections.open()];
    await exchange(first);
    await exchange(second);
    expect(connections.takeIdle()).toBe(second);
    expect(connections.takeIdle()).toBe(first);
    expect(connections.takeIdle()).toBeNull();
    first.close();
    second.close();
  });

  it("shares an address between endpoints, and tells addresses apart that had the same row", () => {
    const { pool: upstreams } = pool();
    const [a, b] = [endpoint(1), endpoint(2)];
    expect(upstreams.connectionsTo(a)).toBe(upstreams.connectionsTo(a));
    const other = { ...a, port: 1 };
    expect(upstreams.connectionsTo(other)).not.toBe(upstreams.connectionsTo(b));
    expect(upstreams.connectionsTo(other).port).toBe(1);
    expect(upstreams.connectionsTo(a).port).toBe(a.port);
  });

  it("finds an address again by another row, also after it had no connection for a while", async () => {
    const { pool: upstreams } = pool();
    const byOldRow = upstreams.connectionsTo(endpoint(1));
    const first = byOldRow.open();
    await exchange(first);
    first.close();
    await until(() => closedCount() === 1);
    const again = upstreams.connectionsTo(endpoint(1)).open();
    await exchange(again);
    expect(upstreams.connectionsTo(endpoint(2)).takeIdle()).toBe(again);
    again.close();
  });

  it("closes what was idle for too long", async () => {
    const { pool: upstreams, wheel } = pool({ idleTimeoutMs: 1_000 });
    const connections = upstreams.connectionsTo(endpoint());
    await exchange(connections.open());
    for (let i = 0; i < 1_000 / tickMs; i++) wheel.tick();
    expect(closedCount()).toBe(0);
    wheel.tick();
    expect(connections.takeIdle()).toBeNull();
    await until(() => closedCount() === 1);
  });

  it("keeps no more idle connections than it may", async () => {
    const connections = pool({ idleMaxCount: 1 }).pool.connectionsTo(endpoint());
    const both = [connections.open(), connections.open()];
    await Promise.all(both.map(exchange));
    await until(() => closedCount() === 1);
    expect(connections.takeIdle()).not.toBeNull();
    expect(connections.takeIdle()).toBeNull();
    for (const connection of both) connection.close();
  });

  it("gives no connection that the server has closed", async () => {
    const connections = pool().pool.connectionsTo(endpoint());
    await exchange(connections.open());
    sockets[0]!.end();
    await until(() => closedCount() === 1);
    expect(connections.takeIdle()).toBeNull();
  });

  it("reuses no connection in the last second for which the server keeps it", async () => {
    const { pool: upstreams, wheel } = pool();
    const connections = upstreams.connectionsTo(endpoint());
    answerLines = "Keep-Alive: timeout=3\r\n";
    await exchange(connections.open());
    for (let i = 0; i < 2_000 / tickMs; i++) wheel.tick();
    const kept = connections.takeIdle();
    expect(kept).not.toBeNull();
    await exchange(kept!);
    for (let i = 0; i < 2_000 / tickMs + 1; i++) wheel.tick();
    expect(connections.takeIdle()).toBeNull();
    answerLines = "Keep-Alive: timeout=1\r\n";
    await exchange(connections.open());
    expect(connections.takeIdle()).toBeNull();
    await until(() => closedCount() === 2);
  });

  it("closes connections to addresses that the configuration has no more, those in use when they are done", async () => {
    const { pool: upstreams } = pool();
    const setsOf = (...endpoints: EndpointConfig[]) => [testSet(endpoints)];
    const connections = upstreams.connectionsTo(endpoint(1));
    const [idle, busy] = [connections.open(), connections.open()];
    await exchange(idle);
    const answered = exchange(busy);
    // The same address by another row, as when its pool was made anew.
    upstreams.retainOnly(setsOf(endpoint(7)), new Set());
    expect([connections.openCount, connections.idleCount]).toEqual([2, 1]);
    upstreams.retainOnly(setsOf({ ...endpoint(1), port: 1 }), new Set());
    expect([connections.openCount, connections.idleCount]).toEqual([1, 0]);
    expect(await answered).toBe("end");
    await until(() => closedCount() === 2);
    // It comes back.
    upstreams.retainOnly(setsOf(endpoint(1)), new Set());
    await exchange(upstreams.connectionsTo(endpoint(1)).open());
    expect(upstreams.connectionsTo(endpoint(1)).idleCount).toBe(1);
    upstreams.closeIdle();
  });

  it("closes everything idle when told to", async () => {
    const { pool: upstreams } = pool();
    await exchange(upstreams.connectionsTo(endpoint()).open());
    upstreams.closeIdle();
    await until(() => closedCount() === 1);
  });
});

describe("UpstreamConnection", () => {
  it("is lost when connecting takes too long", async () => {
    const { pool: upstreams, wheel } = pool();
    // An address of documentation only: nothing answers there, or the machine has no way to it.
    const connection = upstreams.connectionsTo({ ...endpoint(), address: "192.0.2.1" }).open();
    const outcome = exchange(connection);
    connection.expectWithin(100);
    for (let i = 0; i < 10; i++) wheel.tick();
    expect(["connect_timeout", "unreachable"]).toContain(await outcome);
  });

  it("is not told anything after it was abandoned", async () => {
    const connection = pool().pool.connectionsTo(endpoint()).open();
    let isTold = false;
    const outcome = exchange(connection).then(() => {
      isTold = true;
    });
    connection.abandon();
    await Promise.race([outcome, new Promise((resolve) => setTimeout(resolve, 50))]);
    expect(isTold).toBe(false);
  });
});
