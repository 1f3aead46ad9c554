import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import {
  answerText,
  type Backend,
  get,
  openBackend,
  openRawBackend,
  type RawClient,
  Rig,
  type RigOptions,
  type Transport,
  until,
} from "./proxy-server.test-rig.ts";
import { acceptText, openWebsocketEcho } from "./websocket-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function openRig(options: RigOptions): Promise<Rig> {
  const made = await Rig.open(options);
  opened.push(made);
  return made;
}

async function backend(answer: Parameters<typeof openBackend>[0]): Promise<Backend> {
  const made = await openBackend(answer);
  opened.push(made);
  return made;
}

const upgradeLines = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
const handshake = get("/chat", `${upgradeLines}Sec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n`);

/** A server that accepts, and whose side of the tunnel is the test's. */
async function tunnelBackend(more = ""): Promise<Backend & { received: string; side: Socket }> {
  const made = Object.assign(
    await openRawBackend((socket) => {
      made.side = socket;
      let head = "";
      socket.on("data", (bytes) => {
        if (head.includes("\r\n\r\n")) made.received += bytes.toString("latin1");
        else {
          head += bytes.toString("latin1");
          const end = head.indexOf("\r\n\r\n") + 4;
          if (end < 4) return;
          made.received += head.slice(end);
          made.requests.push({ head: head.slice(0, end), body: "" });
          socket.write(acceptText(head) + more);
        }
      });
    }),
    { received: "", side: null as unknown as Socket },
  );
  opened.push(made);
  return made;
}

/** What a client got after the head of 101. */
function incoming(client: RawClient): { text: string; hasEnded: boolean } {
  const got = { text: "", hasEnded: false };
  client.socket.on("data", (bytes) => {
    got.text += bytes.toString("latin1");
  });
  client.socket.on("end", () => {
    got.hasEnded = true;
  });
  return got;
}

describe.each<Transport>(["plain", "TLS"])("websockets, %s,", (transport) => {
  const rig = (options: RigOptions) => openRig({ ...options, transport });

  it("work for a real client, through two endpoints", async () => {
    const servers = [await openWebsocketEcho(), await openWebsocketEcho()];
    opened.push(...servers);
    const proxy = await rig({ ports: servers.map(({ port }) => port), routes: [{ paths: ["/ws"] }] });
    const messages = ["hello", "ü€", "x".repeat(200_000), new Uint8Array([0, 255, 10, 13]).buffer];
    const clients: WebSocket[] = [];
    for (let i = 0; i < 4; i++) {
      const socket = new WebSocket(`ws://127.0.0.1:${proxy.server.port}/ws/a?b=c`);
      clients.push(socket);
      socket.binaryType = "arraybuffer";
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onerror = reject;
      });
      for (const message of messages) {
        const echoed = new Promise<unknown>((resolve) => {
          socket.onmessage = (event) => resolve(event.data);
        });
        socket.send(message);
        expect(await echoed).toEqual(message);
      }
    }
    expect(servers.map(({ connectionCount }) => connectionCount)).toEqual([2, 2]);
    expect(proxy.counter("tunnels_active")).toBe(4);
    for (const socket of clients) {
      const closed = new Promise<CloseEvent>((resolve) => {
        socket.onclose = resolve;
      });
      socket.close(1000, "done");
      expect(await closed).toMatchObject({ wasClean: true, code: 1000, reason: "done" });
    }
    await until(() => proxy.counter("tunnels_active") === 0 && proxy.counter("connections_active") === 0);
    expect(proxy.counter("tunnels_opened")).toBe(4);
    expect(proxy.counter("client_aborts")).toBe(0);
    expect(proxy.table.inFlightTotal()).toBe(0);
    expect(proxy.defects).toEqual([]);
    expect(servers[0]!.requests[0]!.head).toMatch(/^GET \/a\?b=c HTTP\/1\.1\r\n/);
  });

  it("get the handshake with their fields both ways, and nothing more of the hops", async () => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(handshake);
    const answer = await client.answer();
    const [request] = target.requests;
    expect(request!.head).toMatch(/\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n/);
    expect(request!.head.match(/connection:/gi)).toHaveLength(1);
    expect(request!.head).toContain("Sec-WebSocket-Key: a2V5\r\n");
    expect(request!.head).toContain("X-Forwarded-For: 127.0.0.1\r\n");
    expect(answer.head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(answer.head).toContain("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    expect(answer.head).toMatch(/\r\nSec-WebSocket-Accept: \S+\r\n/);
    expect(answer.head).toMatch(/\r\nX-Kong-Request-Id: /);
    expect(answer.head).not.toMatch(/content-length|transfer-encoding|close/i);
  });

  it("pass what either side sent too early", async () => {
    const target = await tunnelBackend("server first");
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    const got = incoming(client);
    client.send(`${handshake}client first`);
    await until(() => target.received === "client first" && got.text.endsWith("\r\n\r\nserver first"));
  });

  it("pass half-closes on, and what the other side still has to say", async () => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    client.socket.allowHalfOpen = true;
    const got = incoming(client);
    client.send(handshake);
    await client.answer();
    target.side.allowHalfOpen = true;
    client.socket.end("last words");
    await until(() => target.side.readableEnded);
    expect(target.received).toBe("last words");
    target.side.end("answer to them");
    await until(() => got.hasEnded);
    expect(got.text.endsWith("answer to them")).toBe(true);
    await until(() => proxy.counter("tunnels_active") === 0);
  });

  it.each(["client", "server"] as const)("break on both sides when the %s breaks", async (who) => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(handshake);
    await client.answer();
    if (who === "client") client.reset();
    else target.side.resetAndDestroy();
    if (who === "server") expect(await client.closed).toBe("reset");
    await until(() => target.sockets.size === 0 && proxy.counter("connections_active") === 0);
    expect(proxy.counter("tunnels_active")).toBe(0);
    expect(proxy.table.inFlightTotal()).toBe(0);
  });

  it("hold a fast side back to the pace of a slow one, both ways", async () => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(handshake);
    await client.answer();
    const totalBytes = 48 * 1_048_576;
    const content = Buffer.alloc(totalBytes, "0123456789abcdef!");
    for (const [from, to] of [
      [client.socket, target.side],
      [target.side, client.socket],
    ] as const) {
      to.removeAllListeners("data");
      to.pause();
      let received = 0;
      let isSame = true;
      const before = process.memoryUsage().arrayBuffers;
      from.write(content);
      let turns = 0;
      await until(() => ++turns === 2_000);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1_048_576);
      expect(from.writableLength).toBe(totalBytes);
      to.on("data", (bytes: Buffer) => {
        isSame &&= bytes.equals(content.subarray(received, received + bytes.length));
        received += bytes.length;
      });
      to.resume();
      await until(() => received === totalBytes);
      expect(isSame).toBe(true);
    }
  });

  it("end when nothing moves for too long, and not before", async () => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port], server: { limits: { tunnelIdleTimeoutMs: 300 } } });
    const client = proxy.client().send(handshake);
    await client.answer();
    for (let i = 0; i < 10; i++) {
      (i % 2 === 0 ? client.socket : target.side).write("x");
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(proxy.counter("tunnels_active")).toBe(1);
    await client.closed;
    await until(() => target.sockets.size === 0 && proxy.counter("tunnels_active") === 0);
    expect([proxy.counter("limit_tunnel_idle_time"), proxy.counter("limit_idle_time")]).toEqual([1, 0]);
  });

  it("go on over changes of the configuration, and end with the grace time of a drain", async () => {
    const target = await tunnelBackend();
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    const got = incoming(client);
    client.send(handshake);
    await client.answer();
    for (let i = 0; i < 3; i++) proxy.apply({ ports: [] });
    target.side.write("still here");
    await until(() => got.text.endsWith("still here"));
    const closed = proxy.server.close(300);
    target.side.write(", also now");
    await until(() => got.text.endsWith(", also now"));
    expect(await client.closed).toBe("end");
    await closed;
    await until(() => target.sockets.size === 0);
  });

  it.each([
    ["refuses", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", /^HTTP\/1\.1 403 /],
    ["wants another version", "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno", /^HTTP\/1\.1 426 /],
    ["answers as if nothing was asked", answerText("no"), /^HTTP\/1\.1 200 /],
  ])("are an ordinary exchange when the server %s", async (_, answer, want) => {
    const target = await backend((_request, socket) => void socket.write(answer));
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client();
    for (let i = 0; i < 2; i++) {
      const { head, body } = await client.send(handshake).answer();
      expect(head).toMatch(want);
      expect(body).toBe("no");
    }
    expect((await client.send(get("/")).answer()).body).toBe("no");
    expect(target.connectionCount).toBe(1);
  });

  it.each([
    ["names another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"],
    ["does not nominate it", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"],
    ["names none", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ])("are refused with 502 when the server's 101 %s", async (_, answer) => {
    const target = await backend((_request, socket) => void socket.write(answer));
    const proxy = await rig({ ports: [target.port] });
    expect((await proxy.ask(handshake)).head).toMatch(/^HTTP\/1\.1 502 .*details="unasked_upgrade"/s);
    await until(() => target.sockets.size === 0);
  });

  it.each([
    ["another protocol", get("/", "Connection: Upgrade\r\nUpgrade: irc/6.9\r\n")],
    ["h2c", get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")],
    ["websocket by POST", get("/", upgradeLines).replace("GET", "POST")],
    ["websocket over HTTP/1.0", get("/", upgradeLines).replace("HTTP/1.1", "HTTP/1.0")],
    ["websocket without Connection", get("/", "Upgrade: websocket\r\n")],
  ])("S11: an upgrade that is not ours to pass on is declined: %s", async (_, text) => {
    const target = await backend((_request, socket) => void socket.write(answerText("plain")));
    const proxy = await rig({ ports: [target.port] });
    expect((await proxy.ask(text)).body).toBe("plain");
    expect(target.requests[0]!.head).not.toMatch(/upgrade|http2-settings/i);
    const sneaky = await backend((_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    });
    proxy.apply({ ports: [sneaky.port] });
    expect((await proxy.ask(text)).head).toMatch(/^HTTP\/1\.1 502 /);
  });
});
