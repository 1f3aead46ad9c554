import { afterEach, describe, expect, it } from "vitest";
import { RouteCell, routeCells } from "../proxy/traffic-metrics.ts";
import { NodeLoad } from "./node-load.ts";
import { answerText, get, openBackend, post, Rig, type RigOptions, until } from "./proxy-server.test-rig.ts";

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function rig(limits: RigOptions["server"] = { limits: { shedHoldMs: 100 } }) {
  const load = NodeLoad.create(1);
  const target = await openBackend((request, socket) => void socket.write(answerText(request.body || "hello")));
  opened.push(target);
  const proxy = await Rig.open({ ports: [target.port], server: { ...limits, load } });
  opened.push(proxy);
  /** The main thread finds memory short, or enough, and the worker learns of it with its next tick. */
  const refuse = async (ratio: number) => {
    load.memoryRatio = ratio;
    await until(() => proxy.server.engine.shedder.memoryRatio === ratio);
  };
  return { target, proxy, refuse };
}

describe("row 25: a worker that has too much to do", () => {
  it("refuses new requests at once, in our words, and says when to come back", async () => {
    const { target, proxy, refuse } = await rig();
    await refuse(1);
    const { head, body } = await proxy.ask(get("/", "Accept: application/json\r\n"));
    expect(head).toMatch(
      /^HTTP\/1\.1 503 Service Unavailable\r\n.*\r\nRetry-After: 1\r\n.*Proxy-Status: penstock; error=http_request_denied/s,
    );
    expect(JSON.parse(body).message).toBe("this node has too much to do");
    expect([target.requests.length, proxy.counter("shed")]).toEqual([0, 1]);
  });

  it.each([
    { name: "a GET", request: get("/") },
    { name: "a HEAD", request: "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" },
    { name: "a POST", request: post("/", "body") },
  ])("counts $name that it refuses as any request", async ({ request }) => {
    const { proxy, refuse } = await rig();
    await refuse(1);
    const client = proxy.client().send(request);
    const { head } = await client.answer(!request.startsWith("HEAD"));
    expect(head).toMatch(/^HTTP\/1\.1 503 .*Retry-After: 1\r\n/s);
    const counted = (["requests", "shed", "responses_5xx", "attempts"] as const).map((name) => proxy.counter(name));
    expect(counted).toEqual([1, 1, 1, 0]);
    const { labels, cells } = proxy.server.engine.traffic.read().routes;
    // The first series is that of all who have none.
    expect([labels.slice(2), cells[routeCells + RouteCell.answers[4]]]).toEqual([["", ""], 1]);
    const bytes = [cells[routeCells + RouteCell.bytesIn], cells[routeCells + RouteCell.bytesOut]];
    expect(bytes).toEqual([request.indexOf("\r\n\r\n") + 4, client.socket.bytesRead]);
  });

  it("finishes what it has taken on", async () => {
    const { proxy, refuse } = await rig();
    const client = proxy.client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    await until(() => proxy.counter("attempts") === 1);
    await refuse(1);
    expect((await client.send("def").answer()).body).toBe("abcdef");
    expect(proxy.counter("shed")).toBe(0);
  });

  it("keeps a refused client's connection, but does not read it for a moment, and serves it when it can", async () => {
    const { proxy, refuse } = await rig();
    await refuse(1);
    const client = proxy.client().send(get("/").repeat(2) + post("/", "third"));
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 503 /);
    const refusedAtMs = performance.now();
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 503 /);
    // Not a bound on speed: a connection that is held cannot have been answered before.
    expect(performance.now() - refusedAtMs).toBeGreaterThan(50);
    await refuse(0);
    expect((await client.answer()).body).toBe("third");
    expect(proxy.counter("connections_accepted")).toBe(1);
  });

  it("refuses what is too much when its loop lags, goes on serving the rest, and stops when that is over", async () => {
    let costMs = 20;
    // In this process: the time that the target takes is missing to the proxy's loop.
    const target = await openBackend((_, socket) => {
      for (const endMs = performance.now() + costMs; performance.now() < endMs; );
      socket.write(answerText("hello"));
    });
    opened.push(target);
    const proxy = await Rig.open({ ports: [target.port], server: { limits: { shedLagMs: 50, shedHoldMs: 50 } } });
    opened.push(proxy);
    const statuses: string[] = [];
    let isOver = false;
    const asking = Array.from({ length: 40 }, async () => {
      for (const client = proxy.client(); !isOver; )
        statuses.push((await client.send(get("/")).answer()).head.slice(9, 12));
    });
    await until(() => statuses.includes("503"));
    const from = statuses.length;
    await until(() => statuses.lastIndexOf("200") > from && statuses.lastIndexOf("503") > from);
    costMs = 0;
    isOver = true;
    await Promise.all(asking);
    expect(new Set(statuses)).toEqual(new Set(["200", "503"]));
    await until(() => !proxy.server.engine.shedder.isShedding);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
    expect([proxy.server.engine.held.count, proxy.counter("defects")]).toEqual([0, 0]);
  });

  it("reads a held client again before its time when there is room", async () => {
    const { proxy, refuse } = await rig({ limits: { shedHoldMs: 3_600_000 } });
    await refuse(1);
    const client = proxy.client().send(get("/") + post("/", "second"));
    expect((await client.answer()).head).toMatch(/^HTTP\/1\.1 503 /);
    await refuse(0);
    expect((await client.answer()).body).toBe("second");
  });

  it("serves a held client that ends its side, and notices one that leaves", async () => {
    const { proxy, refuse } = await rig({ limits: { shedHoldMs: 3_600_000 } });
    await refuse(1);
    const [ends, leaves] = [proxy.client(), proxy.client()];
    for (const client of [ends, leaves]) await client.send(get("/")).answer();
    ends.send(post("/", "still")).socket.end();
    leaves.send(post("/", "never")).socket.resetAndDestroy();
    await until(() => proxy.counter("connections_active") === 1);
    await refuse(0);
    expect((await ends.answer()).body).toBe("still");
    await until(() => proxy.counter("connections_active") === 0);
    expect(proxy.counter("attempts")).toBe(1);
  });

  it("forgets a held client that goes away", async () => {
    const { proxy, refuse } = await rig({ limits: { shedHoldMs: 3_600_000 } });
    await refuse(1);
    const client = proxy.client().send(get("/"));
    await client.answer();
    expect(proxy.server.engine.held.count).toBe(1);
    client.close();
    await until(() => proxy.counter("connections_active") === 0);
    await refuse(0);
    await until(() => proxy.server.engine.held.count === 0);
    expect(proxy.counter("defects")).toBe(0);
  });
});
