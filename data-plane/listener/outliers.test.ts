import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { defaultResilience, type OutlierConfig, type ResilienceConfig } from "../config/resilience-config.ts";
import { answerText, backend, get, post, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";

const status = (message: RawMessage): number => Number(message.head.slice(9, 12));
const say = (socket: Socket, code: number, lines = "") =>
  void socket.write(`HTTP/1.1 ${code} Said\r\nContent-Length: 2\r\n${lines}\r\nok`);
const hello = () => backend((_, socket) => void socket.write(answerText("hello")));
const pathOf = ({ head }: RawMessage) => head.split(" ", 2)[1]!;
const withOutlier = (outlier: Partial<OutlierConfig>): ResilienceConfig => ({
  ...defaultResilience,
  outlier: { ...defaultResilience.outlier!, ...outlier },
});

type Proxy = Awaited<ReturnType<typeof rig>>;
async function ask(proxy: Proxy, count: number, text: string): Promise<number[]> {
  const client = proxy.client();
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) {
    client.send(text);
    statuses.push(status(await client.answer()));
  }
  client.close();
  return statuses;
}
const all = (count: number, value: number) => Array.from({ length: count }, () => value);

describe("an endpoint that answers badly", () => {
  it("is taken out when another endpoint did better five times in a row", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await ask(proxy, 40, get("/"))).toEqual(all(40, 200));
    expect(proxy.ejected).toEqual(["upstream:u 0 bad_answers"]);
    expect(bad.requests).toHaveLength(5);
  });

  it("stays in for one URL that is bad everywhere", async () => {
    const answers = (request: RawMessage, socket: Socket) => say(socket, pathOf(request) === "/bad" ? 503 : 200);
    const targets = [await backend(answers), await backend(answers)];
    const proxy = await rig({ ports: targets.map(({ port }) => port) });
    expect(await ask(proxy, 60, get("/bad"))).toEqual(all(60, 503));
    expect(await ask(proxy, 20, get("/"))).toEqual(all(20, 200));
    expect(proxy.ejected).toEqual([]);
  });

  it("stays in for one URL that is bad there alone, while it answers the others well", async () => {
    const answers = (request: RawMessage, socket: Socket) => say(socket, pathOf(request) === "/bad" ? 503 : 200);
    const [odd, good] = [await backend(answers), await hello()];
    const proxy = await rig({ ports: [odd.port, good.port] });
    for (let i = 0; i < 40; i++) {
      expect(await ask(proxy, 1, get("/bad"))).toEqual([200]);
      expect(await ask(proxy, 4, get("/"))).toEqual(all(4, 200));
    }
    expect(proxy.ejected).toEqual([]);
  });

  it("is taken out for POSTs by how much better the others do, without any being sent twice", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    const statuses = await ask(proxy, 100, post("/", "small"));
    expect(statuses.filter((each) => each === 503)).toHaveLength(20);
    expect(bad.requests.length + good.requests.length).toBe(100);
    expect(proxy.ejected).toEqual(["upstream:u 0 bad_answers"]);
  });

  it("stays in for POSTs that no endpoint answers well", async () => {
    const targets = [await backend((_, socket) => say(socket, 503)), await backend((_, socket) => say(socket, 503))];
    const proxy = await rig({ ports: targets.map(({ port }) => port) });
    expect(await ask(proxy, 100, post("/", "small"))).toEqual(all(100, 503));
    expect(proxy.ejected).toEqual([]);
  });

  it("is told what it asked for: Retry-After", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503, "Retry-After: 7\r\n")), await hello()];
    const waits: number[] = [];
    const proxy = await rig({
      ports: [bad.port, good.port],
      server: { onEjected: (_pool, _row, _cause, retryAfterMs) => waits.push(retryAfterMs) },
    });
    await ask(proxy, 20, get("/"));
    expect(waits).toEqual([7_000]);
  });

  it("is kept when the upstream says so", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port], resilience: { ...defaultResilience, outlier: null } });
    expect(await ask(proxy, 40, get("/"))).toEqual(all(40, 200));
    expect(proxy.ejected).toEqual([]);
    expect(bad.requests.length).toBeGreaterThanOrEqual(20);
  });
});

describe("an endpoint that resets", () => {
  const resetting = () => backend((_, socket) => void socket.resetAndDestroy());

  it("is taken out after five resets in a row", async () => {
    const [bad, good] = [await resetting(), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    expect(await ask(proxy, 40, get("/"))).toEqual(all(40, 200));
    expect(proxy.ejected).toEqual(["upstream:u 0 resets"]);
    expect(bad.requests).toHaveLength(5);
  });

  it("stays in when it answers in between", async () => {
    let count = 0;
    const flaky = await backend((_, socket) => {
      if (++count % 4 === 0) say(socket, 200);
      else socket.resetAndDestroy();
    });
    const proxy = await rig({ ports: [flaky.port, (await hello()).port] });
    expect(await ask(proxy, 80, get("/"))).toEqual(all(80, 200));
    expect(proxy.ejected).toEqual([]);
  });

  it("is taken out only while half of the endpoints are in", async () => {
    const bad = [await resetting(), await resetting(), await resetting()];
    const proxy = await rig({ ports: [...bad, await hello()].map(({ port }) => port) });
    expect(await ask(proxy, 100, get("/"))).toEqual(all(100, 200));
    expect(proxy.ejected).toHaveLength(2);
  });

  it("is taken out of two at any share above nothing, and at nothing never", async () => {
    for (const [maxEjectedPercent, count] of [
      [1, 1],
      [0, 0],
    ] as const) {
      const ports = [(await resetting()).port, (await hello()).port];
      const proxy = await rig({ ports, resilience: withOutlier({ maxEjectedPercent }) });
      await ask(proxy, 40, get("/"));
      expect(proxy.ejected).toHaveLength(count);
    }
  });
});

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
    history.waitsOf("route-0").longest.add(200, performance.now());
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

describe("an endpoint that is out", () => {
  it("keeps no idle connection: who went without a word left it open, and the next request would wait on it", async () => {
    const waiting: Socket[] = [];
    let resets = false;
    const bad = await backend((_, socket) => {
      if (resets) socket.resetAndDestroy();
      else waiting.push(socket);
    });
    const good = await hello();
    const proxy = await rig({ ports: [bad.port, good.port] });
    const clients = Array.from({ length: 16 }, () => proxy.client().send(get("/")));
    await until(() => waiting.length === 8);
    for (const socket of waiting) say(socket, 200);
    await Promise.all(clients.map((client) => client.answer()));
    expect(bad.sockets.size).toBe(8);
    resets = true;
    await ask(proxy, 40, get("/"));
    expect(proxy.ejected).toEqual(["upstream:u 0 resets"]);
    await until(() => bad.sockets.size === 0);
  });

  it("is tried by one GET, and by no POST; what fails there is answered elsewhere", async () => {
    const [bad, good] = [await backend((_, socket) => say(socket, 503)), await hello()];
    const proxy = await rig({ ports: [bad.port, good.port] });
    await ask(proxy, 20, get("/"));
    const before = bad.requests.length;
    proxy.table.offerTrial(0, 0, false);
    expect(await ask(proxy, 4, post("/", "small"))).toEqual(all(4, 200));
    expect([bad.requests.length, proxy.trials]).toEqual([before, []]);
    expect(await ask(proxy, 4, get("/"))).toEqual(all(4, 200));
    expect([bad.requests.length, proxy.trials]).toEqual([before + 1, ["0 failed answered 503"]]);
    proxy.table.offerTrial(0, 0, true);
    expect(await ask(proxy, 2, post("/", "small"))).toEqual([503, 200]);
  });

  it("is told of when it answers well, and when its trial came to nothing", async () => {
    let hangs = false;
    const target = await backend((_, socket) => {
      if (!hangs) say(socket, 200);
    });
    const proxy = await rig({ ports: [target.port, (await hello()).port] });
    proxy.table.eject(0, 0);
    proxy.table.offerTrial(0, 0, false);
    await ask(proxy, 1, get("/"));
    expect(proxy.trials).toEqual(["0 passed"]);
    hangs = true;
    proxy.table.offerTrial(0, 0, false);
    const client = proxy.client().send(get("/"));
    await until(() => target.requests.length === 2);
    client.reset();
    await until(() => proxy.trials.length === 2);
    expect(proxy.trials[1]).toBe("0 unclear");
  });

  it("is asked when there is no other, and told of", async () => {
    const targets = [await hello(), await hello()];
    const proxy = await rig({ ports: targets.map(({ port }) => port) });
    for (const row of [0, 1]) proxy.table.eject(0, row);
    expect(await ask(proxy, 2, get("/"))).toEqual([200, 200]);
    expect(proxy.trials.sort()).toEqual(["0 passed", "1 passed"]);
  });
});
