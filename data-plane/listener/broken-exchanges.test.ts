import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { answerText, backend, closedPort, get, post, rawBackend, rig, until } from "./proxy-server.test-rig.ts";

const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const bodyBytes = 300_000;
const body = "abcdefghij".repeat(bodyBytes / 10);
const chunks = `${body.length.toString(16)}\r\n${body}\r\n`;

/** Answers of 300 KB up to, but without, their last byte or their end. */
const framings = [
  ["a length", "Content-Length: 300001\r\n", body],
  ["chunks", "Transfer-Encoding: chunked\r\n", `${chunks}0\r\n\r`],
  ["the close", "", body],
] as const;

/** Whether a client would take what it got for a whole answer of the target. */
function looksWhole(text: string, version: string, end: "end" | "reset"): boolean {
  if (!text.startsWith("HTTP/1.1 200 ")) return false;
  const headEnd = text.indexOf("\r\n\r\n") + 4;
  const length = /^content-length: (\d+)/im.exec(text.slice(0, headEnd));
  if (length !== null) return text.length - headEnd >= Number(length[1]);
  return version === "1.1" ? text.endsWith("\r\n0\r\n\r\n") : end === "end";
}

describe("row 30: a target that resets in the midst of its answer", () => {
  const cases = framings.flatMap(([framing, line, content]) =>
    ["1.1", "1.0"].map((version) => ({ framing, line, content, version })),
  );

  it.each(cases)("framed by $framing: an HTTP/$version client sees it wherever it is cut", async (one) => {
    const cuts = [0, 1, 5, 10, 1_000, 8_192, 65_536, 65_537, one.content.length - 7, one.content.length];
    const target = await backend((request, socket) => {
      const cut = Number(/^GET \/(\d+)/.exec(request.head)![1]);
      const text = `HTTP/1.1 200 OK\r\n${one.line}\r\n${one.content.slice(0, cut)}`;
      socket.write(text, "latin1", () => socket.resetAndDestroy());
    });
    const proxy = await rig({ ports: [target.port], service: { retries: 0 } });
    const taken: number[] = [];
    for (const cut of cuts) {
      const client = proxy.client().send(`GET /${cut} HTTP/${one.version}\r\nHost: a\r\n\r\n`);
      // After a whole 502 an HTTP/1.1 client keeps its connection.
      const end = await Promise.race([
        client.closed,
        client.answer().then(
          () => "answered",
          () => client.closed,
        ),
      ]);
      if (end === "answered") continue;
      if (looksWhole(await client.rest(), one.version, await client.closed)) taken.push(cut);
    }
    expect(taken, "truncated answers that look whole").toEqual([]);
    expect(target.requests).toHaveLength(cuts.length);
  });

  it.each(["1.1", "1.0"])("while an HTTP/%s client takes its time: it sees it in the end", async (version) => {
    const flood = Buffer.alloc(48 * 1_048_576, "x");
    const target = await rawBackend((socket) => {
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.write(flood);
      });
    });
    const proxy = await rig({ ports: [target.port] });
    const client = proxy.client().send(`GET / HTTP/${version}\r\nHost: a\r\n\r\n`);
    client.socket.pause();
    await until(() => proxy.counter("responses_2xx") === 1);
    let turns = 0;
    await until(() => ++turns === 500);
    for (const socket of target.sockets) socket.resetAndDestroy();
    client.socket.resume();
    expect(await client.closed).toBe("reset");
    expect(await client.rest()).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  it("has been counted and logged as cut, and is not used again", async () => {
    const target = await rawBackend((socket, number) => {
      socket.on("data", () => {
        if (number > 1) socket.write(answerText("hello"));
        else socket.write("HTTP/1.1 200 OK\r\n\r\nhal", () => socket.resetAndDestroy());
      });
    });
    const proxy = await rig({ ports: [target.port] });
    expect(await proxy.client().send(get("/")).closed).toBe("reset");
    expect([proxy.counter("responses_cut"), proxy.counter("attempts_lost")]).toEqual([1, 1]);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
  });
});

describe("row 30: a target that resets before it answers", () => {
  it.each([
    ["GET", get("/"), 200],
    ["DELETE", get("/").replace("GET", "DELETE"), 200],
    ["PUT", post("/", "small").replace("POST", "PUT"), 200],
    ["POST", post("/", "small"), 502],
    ["PATCH", post("/", "small").replace("POST", "PATCH"), 502],
  ])("%s is sent elsewhere only if that is safe", async (_, text, status) => {
    const [bad, good] = [await backend((_request, socket) => void socket.resetAndDestroy()), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    const statuses = [await proxy.ask(text), await proxy.ask(text)].map(({ head }) => Number(head.slice(9, 12)));
    expect(statuses.sort()).toEqual([200, status]);
    expect(good.requests).toHaveLength(status === 200 ? 2 : 1);
    if (status !== 200) expect(bad.requests).toHaveLength(1);
  });

  it.each(["POST", "PUT"])("in the midst of the body of a %s: 502, and it is sent once", async (method) => {
    const bad = await rawBackend((socket) => {
      let received = 0;
      socket.on("data", (bytes) => {
        received += bytes.length;
        if (received > 100_000) socket.resetAndDestroy();
      });
    });
    const proxy = await rig({ ports: [bad.port, bad.port] });
    const client = proxy.client().send(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n`);
    client.send("x".repeat(200_000));
    const { head } = await client.answer();
    expect(head).toMatch(/^HTTP\/1\.1 502 .*Connection: close\r\n.*error=connection_terminated/s);
    expect([bad.connectionCount, proxy.counter("attempts")]).toEqual([1, 1]);
    await client.closed;
  });
});

describe("row 34: a target that closes its idle connections exactly when they are used again", () => {
  /** Answers one request on each connection. The next one is met by what `ends` does. */
  const closingOnReuse = (ends: (socket: Socket) => void) => {
    const executed = new Set<string>();
    const answered = new WeakSet<Socket>();
    return backend((request, socket) => {
      const path = request.head.split(" ")[1]!;
      if (answered.has(socket)) ends(socket);
      else {
        answered.add(socket);
        expect(executed.has(path), `${path} was executed twice`).toBe(false);
        executed.add(path);
        socket.write(answerText(path));
      }
    });
  };
  it.each([
    ["FIN", (socket: Socket) => void socket.end()],
    ["RST", (socket: Socket) => void socket.resetAndDestroy()],
  ])("by %s: 0 of 1,000 GETs fail, with no retries allowed", async (_, ends) => {
    const target = await closingOnReuse(ends);
    const proxy = await rig({ ports: [target.port], service: { retries: 0 } });
    const clients = Array.from({ length: 10 }, () => proxy.client());
    const failed: string[] = [];
    await Promise.all(
      clients.map(async (client, index) => {
        for (let i = 0; i < 100; i++) {
          const { head, body: got } = await client.send(get(`/${index}/${i}`)).answer();
          if (got !== `/${index}/${i}`) failed.push(head);
        }
      }),
    );
    expect(failed).toEqual([]);
    // Connections were met in the midst of closing, and often.
    expect(proxy.counter("attempts_lost")).toBeGreaterThan(300);
    expect(proxy.counter("ejections")).toBe(0);
  });

  it("and without a word right after each answer: 0 of 1,000 GETs fail", async () => {
    const target = await backend((request, socket) => void socket.end(answerText(request.head.split(" ")[1]!)));
    const proxy = await rig({ ports: [target.port], service: { retries: 0 } });
    const clients = Array.from({ length: 10 }, () => proxy.client());
    await Promise.all(
      clients.map(async (client, index) => {
        for (let i = 0; i < 100; i++)
          expect((await client.send(get(`/${index}/${i}`)).answer()).body).toBe(`/${index}/${i}`);
      }),
    );
  });

  it.each([
    ["FIN", (socket: Socket) => void socket.end()],
    ["RST", (socket: Socket) => void socket.resetAndDestroy()],
  ])("by %s: a POST whose bytes were sent is not sent again", async (_, ends) => {
    const target = await closingOnReuse(ends);
    const proxy = await rig({ ports: [target.port] });
    const statuses = new Map<string, number>();
    for (let i = 0; i < 100; i++) {
      const { head } = await proxy.ask(post(`/${i}`, "body"));
      statuses.set(head.slice(9, 12), (statuses.get(head.slice(9, 12)) ?? 0) + 1);
    }
    // Every second one met a connection that was closing. `closingOnReuse` saw none of them twice.
    expect([...statuses]).toEqual([
      ["200", 50],
      ["502", 50],
    ]);
    expect(target.requests).toHaveLength(100);
    expect(proxy.counter("retries")).toBe(0);
  });

  it("a POST of which no byte was sent goes out on a new connection, or elsewhere", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port, await closedPort()] });
    for (let i = 0; i < 10; i++) {
      expect((await proxy.ask(post("/", "body"))).body).toBe("hello");
      // The close of what is idle is noticed before the next one comes.
      for (const socket of target.sockets) socket.destroy();
      const openConnections = () => proxy.server.engine.upstreams.sizes(10).cells.reduce((sum, cell) => sum + cell, 0);
      await until(() => openConnections() === 0);
    }
    expect(proxy.counter("attempts_lost")).toBe(0);
  });
});

describe("a client whose request reached no target", () => {
  it.each([
    ["a body that came with the head", post("/", "body")],
    ["no body", get("/")],
  ])("goes on with its connection, also with half a head that it has sent ahead: %s", async (_, text) => {
    const proxy = await rig({ ports: [await closedPort()] });
    const client = proxy.client();
    for (let i = 0; i < 3; i++) {
      client.send(text + get("/next").slice(0, 20));
      expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 502 /);
      client.send(get("/next").slice(20));
      expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 502 /);
      expect((await client.send(text).answer()).head).toMatch(/^HTTP\/1\.1 502 /);
    }
  });
});
