import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { get, openRawBackend, type RawClient, Rig, until } from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** Begins an answer that goes on for ever in small pieces. */
function answerForEver(socket: Socket): void {
  socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  const going = setInterval(() => socket.write("5\r\nhello\r\n"), 5);
  socket.on("close", () => clearInterval(going));
}

const aborts: readonly (readonly [string, string, (client: RawClient) => void])[] = [
  [
    "in the midst of its body",
    "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    (client) => client.close(),
  ],
  [
    "in the midst of a chunk",
    "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    (client) => client.close(),
  ],
  ["in the midst of its answer", get("/answer"), (client) => client.close()],
  // A client that only closes its sending half may still want the answer; a reset says that it does not.
  ["while it waits", get("/wait"), (client) => client.socket.resetAndDestroy()],
];

describe("row 42: a client that goes away", () => {
  it.each(aborts)("%s has its request ended at the target, 125 times over", async (_, text, leave) => {
    const target = await openRawBackend((socket) => {
      socket.once("data", (bytes) => {
        if (bytes.toString("latin1").startsWith("GET /answer")) answerForEver(socket);
      });
      socket.resume();
    });
    opened.push(target);
    const proxy = await Rig.open({ ports: [target.port, target.port] });
    opened.push(proxy);
    const count = 125;
    const clients = Array.from({ length: count }, () => proxy.client().send(text));
    await until(() => target.sockets.size === count);
    if (text.includes("/answer")) await Promise.all(clients.map((client) => client.answer(false)));
    for (const client of clients) leave(client);
    await until(() => target.sockets.size === 0 && proxy.counter("connections_active") === 0);

    expect(proxy.counter("client_aborts")).toBe(count);
    // Nobody else is to blame, and nothing was tried again.
    const blamed = ["attempts_lost", "connect_failures", "retries", "ejections", "defects"] as const;
    expect(blamed.map((name) => proxy.counter(name))).toEqual([0, 0, 0, 0, 0]);
    expect([proxy.counter("attempts"), target.connectionCount]).toEqual([count, count]);
    // The rig checks as it closes that nothing is left in flight.
  });
});
