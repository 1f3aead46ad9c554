import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { defaultResilience, type ResilienceConfig } from "../config/resilience-config.ts";
import { NodeLoad } from "./node-load.ts";
import { answerText, backend, closedPort, get, post, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";

const status = (message: RawMessage): number => Number(message.head.slice(9, 12));
const answers =
  (code: number, lines = "", body = "bad") =>
  (_: RawMessage, socket: Socket) =>
    void socket.write(`HTTP/1.1 ${code} Said\r\nContent-Length: ${body.length}\r\n${lines}\r\n${body}`);
const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const put = (body: string) => post("/", body).replace("POST", "PUT");
const withRetry = (retry: Partial<ResilienceConfig["retry"]>): ResilienceConfig => ({
  ...defaultResilience,
  retry: { ...defaultResilience.retry, ...retry },
});

/** Asks until each of two targets was the first to be asked, once. */
async function askTwice(proxy: Awaited<ReturnType<typeof rig>>, text: string): Promise<number[]> {
  return [await proxy.ask(text), await proxy.ask(text)].map(status).sort();
}

describe("an answer that another endpoint may better", () => {
  it.each([502, 503, 504])("%i to a GET is not passed on while another answers well", async (code) => {
    const [bad, good] = [await backend(answers(code)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, get("/"))).toEqual([200, 200]);
    expect([bad.requests.length, good.requests.length]).toEqual([1, 2]);
    expect(proxy.counter("retries")).toBe(1);
  });

  it("is taken from the last endpoint when all answer so, with its body, and each is asked once", async () => {
    const targets = [await backend(answers(503, "", "one")), await backend(answers(503, "", "two"))];
    const proxy = await rig({ ports: targets.map(({ port }) => port) });
    const answer = await proxy.ask(get("/"));
    expect([status(answer), answer.body.length]).toEqual([503, 3]);
    expect(targets.map(({ requests }) => requests.length)).toEqual([1, 1]);
  });

  it.each([
    ["a POST", post("/", "small")],
    ["a PATCH", post("/", "small").replace("POST", "PATCH")],
  ])("is passed on to %s, which is executed once", async (_, text) => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, text)).toEqual([200, 503]);
    expect([bad.requests.length, good.requests.length]).toEqual([1, 1]);
  });

  it.each([500, 501, 429, 404])("is not %i, which is the target's own word", async (code) => {
    const [bad, good] = [await backend(answers(code)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, get("/"))).toEqual([200, code]);
  });

  it("is passed on where no endpoint that is in is left, rather than one that is out be asked", async () => {
    const [bad, dead] = [await backend(answers(503)), await closedPort()];
    const proxy = await rig({ ports: [dead, bad.port] });
    expect(await askTwice(proxy, get("/"))).toEqual([503, 503]);
    expect(proxy.ejected).toEqual(["upstream:u 0 refused"]);
    expect(proxy.counter("connect_failures")).toBe(1);
  });

  it("is passed on where it puts the pool into a panic in which nobody is asked", async () => {
    const panic = { thresholdPercent: 70, mode: "fail_closed" } as const;
    const third = await hello();
    const answer = (request: RawMessage, socket: Socket) => {
      proxy.table.eject(0, 2);
      answers(503)(request, socket);
    };
    const targets = [await backend(answer), await backend(answer), third];
    const proxy = await rig({
      ports: targets.map(({ port }) => port),
      resilience: { ...defaultResilience, panic },
    });
    const client = proxy.client().send(get("/"));
    const first = status(await client.answer());
    // Round-robin may have begun with the third.
    const second = first === 200 ? status(await client.send(get("/")).answer()) : first;
    expect([second, proxy.defects, proxy.counter("retries")]).toEqual([503, [], 0]);
    expect(status(await client.send(get("/")).answer())).toBe(503);
  });

  it("leaves its connection good for another request", async () => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    for (let i = 0; i < 8; i++) expect(status(await proxy.ask(get("/")))).toBe(200);
    expect(bad.requests).toHaveLength(4);
    expect(bad.connectionCount).toBe(1);
  });

  it.each([
    ["that is large", `HTTP/1.1 503 Said\r\nContent-Length: 900000\r\n\r\n${"x".repeat(900_000)}`],
    ["that ends with its connection", `HTTP/1.1 503 Said\r\n\r\n${"x".repeat(900_000)}`],
    [
      "that is chunked and large",
      `HTTP/1.1 503 Said\r\nTransfer-Encoding: chunked\r\n\r\nDBBA0\r\n${"x".repeat(900_000)}`,
    ],
  ])("%s is not read to its end: the connection goes", async (_, text) => {
    const [bad, good] = [await backend((_request, socket) => void socket.write(text)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, get("/"))).toEqual([200, 200]);
    await expect.poll(() => bad.sockets.size).toBe(0);
  });

  it("to HEAD has no body to wait for", async () => {
    const [bad, good] = [
      await backend((_request, socket) => void socket.write("HTTP/1.1 503 Said\r\nContent-Length: 3\r\n\r\n")),
      await hello(),
    ];
    const proxy = await rig({ ports: [bad.port, good.port] });
    for (let i = 0; i < 4; i++) {
      expect(status(await proxy.ask(get("/").replace("GET", "HEAD"), false))).toBe(200);
    }
    expect(bad.connectionCount).toBe(1);
  });
});

describe("a body that is sent again", () => {
  it.each([0, 1, 8_192, 8_193, 60_000, 65_536])("of %i bytes arrives whole at the other endpoint", async (length) => {
    const body = "0123456789abcdef".repeat(4_096).slice(0, length);
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, put(body))).toEqual([200, 200]);
    expect(good.requests.map((request) => request.body)).toEqual([body, body]);
  });

  it("of more than is kept is sent once: the answer is passed on", async () => {
    const body = "x".repeat(65_537);
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await askTwice(proxy, put(body))).toEqual([200, 503]);
    expect(good.requests).toHaveLength(1);
  });

  it("is not kept while memory is short, so that the answer is passed on", async () => {
    const [bad, other] = [await backend(answers(503)), await backend(answers(503))];
    const load = NodeLoad.create(1);
    const proxy = await rig({ ports: [bad.port, other.port], server: { load } });
    const { shedder } = proxy.server.engine;
    const client = proxy.client().send(put("x".repeat(20)).slice(0, -10));
    await until(() => proxy.counter("attempts") === 1);
    load.memoryRatio = 0.5;
    await until(() => shedder.memoryRatio === 0.5);
    client.send("y".repeat(10));
    expect(status(await client.answer())).toBe(503);
    expect(proxy.counter("attempts")).toBe(1);
  });

  it("in chunks, with trailers, arrives in chunks, with trailers", async () => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    const text =
      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
    expect(await askTwice(proxy, text)).toEqual([200, 200]);
    expect(good.requests.map((request) => request.body)).toEqual(
      Array.from({ length: 2 }, () => "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n"),
    );
  });

  it("goes on flowing to the other endpoint when the first answered before it was whole", async () => {
    let firstPiece = () => {};
    const gotFirst = new Promise<void>((resolve) => {
      firstPiece = resolve;
    });
    const bad = await backend(() => {});
    const early = await backend(() => {});
    void bad;
    // A backend that answers by what it has read of the head alone.
    const { openRawBackend } = await import("./proxy-server.test-rig.ts");
    const hasty = await openRawBackend((socket) => {
      socket.once("data", () => {
        firstPiece();
        socket.write("HTTP/1.1 503 Said\r\nContent-Length: 3\r\n\r\nbad");
      });
    });
    const good = await hello();
    const proxy = await rig({ ports: [hasty.port, good.port] });
    const client = proxy.client().send(put("x".repeat(20)).slice(0, -10));
    await gotFirst;
    await expect.poll(() => proxy.counter("retries")).toBe(1);
    client.send("y".repeat(10));
    expect(status(await client.answer())).toBe(200);
    expect(good.requests[0]!.body).toBe("x".repeat(10) + "y".repeat(10));
    await hasty.close();
    await early.close();
  });
});

describe("what the upstream says of retries", () => {
  it("turns them off: a bad answer is passed on, and a lost request is lost", async () => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port], resilience: withRetry({ isEnabled: false }) });
    expect(await askTwice(proxy, get("/"))).toEqual([200, 503]);
  });

  it("but never keeps a request from an endpoint that can be connected to", async () => {
    const good = await hello();
    const proxy = await rig({
      ports: [await closedPort(), good.port],
      resilience: withRetry({ isEnabled: false }),
    });
    expect(await askTwice(proxy, post("/", "small"))).toEqual([200, 200]);
  });

  it("names other statuses and methods", async () => {
    const [bad, good] = [await backend(answers(429)), await hello()];
    const resilience = withRetry({ statuses: [429], methods: ["POST"] });
    const proxy = await rig({ ports: [bad.port, good.port], resilience });
    expect(await askTwice(proxy, post("/", "small"))).toEqual([200, 200]);
    expect(await askTwice(proxy, get("/"))).toEqual([200, 429]);
    expect(good.requests.map((request) => request.body)).toEqual(["small", "small", ""]);
  });

  it.each([
    ["a POST with one", "Idempotency-Key: k\r\n", [200, 200]],
    ["whatever its case", "idempotency-KEY: k\r\n", [200, 200]],
    ["but not one without", "X-Idempotency-Key: k\r\n", [200, 503]],
  ])("may trust Idempotency-Key: %s", async (_, lines, statuses) => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port], resilience: withRetry({ takesIdempotencyKey: true }) });
    expect(await askTwice(proxy, post("/", "small", lines))).toEqual(statuses);
  });

  it("is narrowed by the route, field by field", async () => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({
      ports: [bad.port, good.port],
      routes: [
        { paths: ["/never"], retry: { isEnabled: false } },
        { paths: ["/"], retry: { statuses: [503] } },
      ],
    });
    expect(await askTwice(proxy, get("/never"))).toEqual([200, 503]);
    expect(await askTwice(proxy, get("/"))).toEqual([200, 200]);
  });

  it("is capped by the service's retries", async () => {
    const [bad, good] = [await backend(answers(503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port], service: { retries: 0 } });
    expect(await askTwice(proxy, get("/"))).toEqual([200, 503]);
  });

  it("bounds how long one attempt waits: the next endpoint has its turn", async () => {
    const [silent, good] = [await backend(() => {}), await hello()];
    const proxy = await rig({ ports: [silent.port, good.port], resilience: withRetry({ perTryTimeoutMs: 50 }) });
    expect(await askTwice(proxy, get("/"))).toEqual([200, 200]);
    expect([silent.requests.length, proxy.counter("limit_read_time")]).toEqual([1, 1]);
  });

  it("keeps to the budget when every endpoint answers badly", async () => {
    const targets = [await backend(answers(503)), await backend(answers(503))];
    const proxy = await rig({ ports: targets.map(({ port }) => port) });
    const client = proxy.client();
    for (let i = 0; i < 1_000; i++) {
      client.send(get("/"));
      expect(status(await client.answer())).toBe(503);
    }
    // 20 % of the requests, and ten seconds' worth of 10 a second.
    expect(proxy.counter("attempts")).toBeLessThanOrEqual(1_000 * 1.2 + 100);
    expect(proxy.counter("retries")).toBeGreaterThan(250);
    expect(proxy.ejected).toEqual([]);
  });
});
