import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { defaultResilience, type ResilienceConfig } from "../config/resilience-config.ts";
import { all, askInTurn as ask, hello, pathOf, say, statusOf as status } from "./failing-endpoints.test-rig.ts";
import { backend, get, post, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";

describe("an endpoint that takes requests and does not answer", () => {
  /** Short times, in the proportions of the real ones. */
  const brisk: ResilienceConfig = { ...defaultResilience, stall: { minSilenceMs: 100, factor: 4 } };

  /** Answers until it is told to hang; what it has then is never answered. */
  async function hangable() {
    const state = { hangs: false };
    const target = await backend((_, socket) => {
      if (!state.hangs) say(socket, 200);
    });
    return { target, state };
  }

  it("is taken out when two requests wait, which another endpoint answers", async () => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({ ports: [target.port, good.port], resilience: brisk });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    const statuses = await Promise.all(Array.from({ length: 6 }, async () => status(await proxy.ask(get("/")))));
    expect(statuses).toEqual(all(6, 200));
    expect(proxy.ejected).toEqual(["upstream:u 0 stalled"]);
  });

  it("is not, for one request that waits", async () => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({ ports: [target.port, good.port], resilience: brisk, service: { readTimeoutMs: 1_000 } });
    await ask(proxy, 40, get("/"));
    const before = target.requests.length;
    state.hangs = true;
    const [one, other] = [proxy.client().send(get("/")), proxy.client().send(get("/"))];
    // Its own time-out ends it, and another endpoint answers.
    expect([status(await one.answer()), status(await other.answer())]).toEqual([200, 200]);
    expect(target.requests.length - before).toBe(1);
    expect(proxy.ejected).toEqual([]);
  });

  it("keeps the request that it has begun to answer, which can go nowhere else", async () => {
    const waiting: Socket[] = [];
    const state = { hangs: false };
    const target = await backend((_, socket) => {
      if (!state.hangs) say(socket, 200);
      else if (waiting.push(socket) === 1) socket.write("HTTP/1.1 2");
    });
    const proxy = await rig({ ports: [target.port, (await hello()).port], resilience: brisk });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    const clients = Array.from({ length: 6 }, () => proxy.client().send(get("/")));
    const answers = clients.map(async (client) => status(await client.answer()));
    await until(() => proxy.ejected.length > 0 && proxy.counter("retries") === 2);
    waiting[0]!.write("00 Said\r\nContent-Length: 2\r\n\r\nok");
    expect(await Promise.all(answers)).toEqual(all(6, 200));
  });

  it("keeps the POSTs that it has: they may be under way", async () => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({ ports: [target.port, good.port], resilience: brisk, service: { readTimeoutMs: 1_500 } });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    const text = post("/", "small");
    const statuses = await Promise.all(Array.from({ length: 6 }, async () => status(await proxy.ask(text))));
    expect(statuses.sort()).toEqual([200, 200, 200, 504, 504, 504]);
    expect(target.requests.filter(({ head }) => head.startsWith("POST "))).toHaveLength(3);
    expect(proxy.ejected).toEqual(["upstream:u 0 stalled"]);
  });

  it("is not, where it has always taken its time: nothing is sent twice", async () => {
    const slow = await backend((_, socket) => void setTimeout(() => say(socket, 200), 300));
    const fast = await hello();
    const proxy = await rig({ ports: [slow.port, fast.port], resilience: brisk });
    const rounds = await Promise.all(Array.from({ length: 8 }, () => ask(proxy, 10, get("/"))));
    expect(rounds.flat()).toEqual(all(80, 200));
    expect([proxy.ejected, proxy.counter("retries")]).toEqual([[], 0]);
    expect(slow.requests.length + fast.requests.length).toBe(80);
  });

  it("is not, where the route's answers are long polls", async () => {
    const waiting: Socket[] = [];
    const poll = (_: RawMessage, socket: Socket) => void waiting.push(socket);
    const targets = [await backend(poll), await backend(poll)];
    const proxy = await rig({ ports: targets.map(({ port }) => port), resilience: brisk });
    const clients = Array.from({ length: 8 }, () => proxy.client().send(get("/")));
    await until(() => waiting.length === 8);
    await until(() => proxy.server.engine.wheel.now > 20);
    for (const socket of waiting.splice(0)) say(socket, 200);
    expect(await Promise.all(clients.map(async (client) => status(await client.answer())))).toEqual(all(8, 200));
    expect([proxy.ejected, proxy.counter("retries")]).toEqual([[], 0]);
  });

  it("is not, for the first long polls of a busy route, whose server answers a ping", async () => {
    const polls: Socket[] = [];
    const target = (request: RawMessage, socket: Socket) => {
      if (pathOf(request) === "/poll") polls.push(socket);
      else say(socket, 200);
    };
    const targets = [await backend(target), await backend(target)];
    const pinged: number[] = [];
    const proxy = await rig({
      ports: targets.map(({ port }) => port),
      resilience: brisk,
      server: { ping: (_address, port) => Promise.resolve(pinged.push(port)).then(() => null) },
    });
    await ask(proxy, 41, get("/"));
    // Both to the endpoint whose turn it is: the other is out for a moment.
    proxy.table.eject(0, 1);
    const clients = [proxy.client().send(get("/poll")), proxy.client().send(get("/poll"))];
    await until(() => polls.length === 2);
    proxy.table.readmit(0, 1);
    const { wheel } = proxy.server.engine;
    const silentFrom = wheel.now;
    await until(() => wheel.now > silentFrom + 10);
    expect([pinged, proxy.ejected]).toEqual([[targets[0]!.port], []]);
    for (const socket of polls) say(socket, 200);
    expect(await Promise.all(clients.map(async (client) => status(await client.answer())))).toEqual([200, 200]);
  });

  it("is not, where what it was asked beside long polls was answered, and the others are asked more", async () => {
    const polls: Socket[] = [];
    const target = (request: RawMessage, socket: Socket) => {
      if (pathOf(request) === "/poll") polls.push(socket);
      else say(socket, 200);
    };
    const targets = [await backend(target), await backend(target)];
    const proxy = await rig({
      ...{ ports: targets.map(({ port }) => port), resilience: brisk },
      server: { ping: async () => null },
    });
    await ask(proxy, 40, get("/"));
    proxy.table.eject(0, 1);
    const clients = [0, 1, 2].map(() => proxy.client().send(get("/poll")));
    await until(() => polls.length === 3);
    await ask(proxy, 3, get("/"));
    proxy.table.readmit(0, 1);
    // Now the other endpoint alone gets what is answered.
    proxy.table.setFlag(0, 0, "forced_out", true);
    const { wheel } = proxy.server.engine;
    const from = wheel.now;
    while (wheel.now < from + 10) await ask(proxy, 4, get("/"));
    proxy.table.setFlag(0, 0, "forced_out", false);
    while (wheel.now < from + 14) await new Promise((resolve) => setImmediate(resolve));
    expect([proxy.ejected, proxy.counter("retries")]).toEqual([[], 0]);
    for (const socket of polls) say(socket, 200);
    await Promise.all(clients.map((client) => client.answer()));
  });

  it("is, where its server does not even answer a ping, although nobody asks the others any more", async () => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({ ports: [target.port, good.port], resilience: brisk });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    const clients = Array.from({ length: 4 }, () => proxy.client().send(get("/")));
    expect(await Promise.all(clients.map(async (client) => status(await client.answer())))).toEqual(all(4, 200));
    expect(proxy.ejected).toEqual(["upstream:u 0 stalled"]);
  });

  it("is, where the others go on answering, although its server answers a ping", async () => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({
      ...{ ports: [target.port, good.port], resilience: brisk },
      server: { ping: async () => null },
    });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    const clients: ReturnType<typeof proxy.client>[] = [];
    const { wheel } = proxy.server.engine;
    while (proxy.ejected.length === 0) {
      clients.push(proxy.client().send(get("/")));
      const sentAt = wheel.now;
      await until(() => wheel.now > sentAt);
    }
    expect(await Promise.all(clients.map(async (client) => status(await client.answer())))).toEqual(
      all(clients.length, 200),
    );
    expect(proxy.ejected).toEqual(["upstream:u 0 stalled"]);
  });

  it.each(["dead", "alive"])("is judged by its ping where requests give up too early to tell: %s", async (word) => {
    const { target, state } = await hangable();
    const good = await hello();
    const proxy = await rig({
      ...{ ports: [target.port, good.port], resilience: brisk, routes: [{ totalTimeoutMs: 300 }] },
      server: { ping: async () => (word === "dead" ? "timeout" : null) },
    });
    const { history } = proxy.server.engine.snapshots.current!.pools[0]!;
    // So that silence is what lasts for 800 ms, longer than any request has.
    await ask(proxy, 40, get("/"));
    history.waitsOf("route-0").add(200, performance.now());
    state.hangs = true;
    const statuses: number[] = [];
    while (proxy.ejected.length === 0 && statuses.filter((each) => each === 504).length < 8) {
      statuses.push(...(await ask(proxy, 2, get("/"))));
    }
    expect(proxy.ejected).toEqual(word === "dead" ? ["upstream:u 0 stalled"] : []);
  });

  it("is not, where every endpoint is silent at once", async () => {
    const { target, state } = await hangable();
    const { target: other, state: otherState } = await hangable();
    const proxy = await rig({ ports: [target.port, other.port], resilience: brisk, service: { readTimeoutMs: 700 } });
    await ask(proxy, 40, get("/"));
    state.hangs = true;
    otherState.hangs = true;
    const statuses = await Promise.all(Array.from({ length: 8 }, async () => status(await proxy.ask(get("/")))));
    expect(statuses).toEqual(all(8, 504));
    expect(proxy.ejected.filter((each) => each.includes("stalled"))).toEqual([]);
  });

  it("is not, for an event stream that has begun and is silent", async () => {
    const streams: Socket[] = [];
    const target = (request: RawMessage, socket: Socket) => {
      if (pathOf(request) !== "/events") return say(socket, 200);
      streams.push(socket);
      return void socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n:\r\n");
    };
    const targets = [await backend(target), await backend(target)];
    const proxy = await rig({ ports: targets.map(({ port }) => port), resilience: brisk });
    await ask(proxy, 40, get("/"));
    for (let i = 0; i < 6; i++) proxy.client().send(get("/events"));
    await until(() => streams.length === 6);
    const { wheel } = proxy.server.engine;
    const silentFrom = wheel.now;
    while (wheel.now < silentFrom + 10) await ask(proxy, 4, get("/"));
    expect([proxy.ejected, proxy.counter("retries")]).toEqual([[], 0]);
  });
});
