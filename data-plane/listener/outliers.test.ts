import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { defaultResilience, type OutlierConfig, type ResilienceConfig } from "../config/resilience-config.ts";
import { all, askInTurn as ask, hello, pathOf, say } from "./failing-endpoints.test-rig.ts";
import { backend, get, post, type RawMessage, rig, until } from "./proxy-server.test-rig.ts";

const withOutlier = (outlier: Partial<OutlierConfig>): ResilienceConfig => ({
  ...defaultResilience,
  outlier: { ...defaultResilience.outlier!, ...outlier },
});

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
