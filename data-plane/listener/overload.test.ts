import { afterEach, describe, expect, it } from "vitest";
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
    await until(() => proxy.server.engine.shedder.ratio === ratio);
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

  it("refuses the share that is too much, when its loop lags", async () => {
    const { proxy } = await rig({ limits: { shedLagMs: 20, shedHoldMs: 1 } });
    const busy = setInterval(() => {
      const endMs = performance.now() + 150;
      while (performance.now() < endMs);
    }, 1);
    await until(() => proxy.server.engine.shedder.ratio > 0);
    clearInterval(busy);
    await until(() => proxy.server.engine.shedder.ratio === 0);
    expect((await proxy.ask(get("/"))).body).toBe("hello");
  });
});
