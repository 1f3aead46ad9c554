import { describe, expect, it } from "vitest";
import type { InFlightConfig } from "../config/balancing-config.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { askAll, limited, patientTarget, status } from "./in-flight-limits.test-rig.ts";
import {
  answerText,
  backend,
  closedPort,
  get,
  post,
  type RigOptions,
  rawBackend,
  rig,
  until,
} from "./proxy-server.test-rig.ts";

describe("a pool with a limit and no queue", () => {
  it("refuses what is over it at once, and takes as many again as have ended", async () => {
    const target = await patientTarget();
    const proxy = await rig({ ports: [target.port], pool: limited({ max: 2 }) });
    const clients = await askAll(proxy, 3);
    const refused = await clients[2]!.answer();
    expect(status(refused)).toBe(503);
    expect(refused.head).toMatch(/^Retry-After: 1\r$/m);
    expect(refused.head).toMatch(/^Proxy-Status: penstock; error=connection_limit_reached\r$/m);
    await until(() => target.waiting.length === 2);
    target.answer();
    expect(status(await clients[0]!.answer())).toBe(200);
    clients[2]!.send(get("/again"));
    await until(() => target.waiting.length === 2);
    target.answer();
    target.answer();
    expect([status(await clients[1]!.answer()), status(await clients[2]!.answer())]).toEqual([200, 200]);
    expect([target.most, proxy.counter("limit_in_flight"), proxy.counter("queued")]).toEqual([2, 1, 0]);
  });

  it("counts a request once, however many attempts it takes", async () => {
    const target = await patientTarget();
    const proxy = await rig({ ports: [await closedPort(), target.port], pool: limited({ max: 1 }) });
    for (let i = 0; i < 4; i++) {
      const client = proxy.client().send(get("/"));
      await until(() => target.waiting.length === 1);
      expect(status(await proxy.ask(get("/over")))).toBe(503);
      target.answer();
      expect(status(await client.answer())).toBe(200);
    }
    expect(proxy.counter("connect_failures")).toBe(1);
  });

  it("holds its place for as long as a tunnel lasts", async () => {
    const target = await rawBackend((socket) => {
      socket.on("data", () => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      });
    });
    const proxy = await rig({ ports: [target.port], pool: limited({ max: 1 }), endpoints: [{ maxInFlight: 1 }] });
    const upgrade = get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    const tunnel = proxy.client().send(upgrade);
    expect(status(await tunnel.answer(false))).toBe(101);
    expect(status(await proxy.ask(get("/")))).toBe(503);
    expect(proxy.table.admissions.admittedToEndpoint(0)).toBe(1);
    tunnel.close();
    await until(() => proxy.counter("tunnels_active") === 0);
    const next = proxy.client().send(upgrade);
    expect(status(await next.answer(false))).toBe(101);
    next.close();
    await until(() => proxy.counter("tunnels_active") === 0);
  });

  it("lets nobody in while a lower limit is not yet met, and everybody when it is gone", async () => {
    const target = await patientTarget();
    const options = { ports: [target.port] };
    const proxy = await rig({ ...options, pool: limited({ max: 3 }) });
    const clients = await askAll(proxy, 3);
    await until(() => target.waiting.length === 3);
    proxy.reapply({ ...options, pool: limited({ max: 2 }) });
    target.answer();
    await clients[0]!.answer();
    expect(status(await proxy.ask(get("/")))).toBe(503);
    proxy.reapply(options);
    const free = await askAll(proxy, 3);
    await until(() => target.waiting.length === 5);
    for (let i = 0; i < 5; i++) target.answer();
    for (const client of [...clients.slice(1), ...free]) expect(status(await client.answer())).toBe(200);
  });
});

describe("an endpoint with a limit", () => {
  it("is passed over when it is full, and what is over goes to the others", async () => {
    const targets = [await patientTarget(), await patientTarget()];
    const proxy = await rig({
      ports: targets.map(({ port }) => port),
      endpoints: [{ maxInFlight: 1 }, { maxInFlight: 3 }],
    });
    const clients = await askAll(proxy, 5);
    expect(status(await clients[4]!.answer())).toBe(503);
    await until(() => targets[0]!.waiting.length === 1 && targets[1]!.waiting.length === 3);
    for (const target of targets) while (target.waiting.length > 0) target.answer();
    for (const client of clients.slice(0, 4)) expect(status(await client.answer())).toBe(200);
    expect(targets.map(({ most }) => most)).toEqual([1, 3]);
  });

  it("gives its place back when an attempt is lost, and takes it for the next one on a fresh connection", async () => {
    let connections = 0;
    const target = await rawBackend((socket, number) => {
      connections = number;
      let requests = 0;
      socket.on("data", () => {
        // Every connection answers once, and closes at the second request.
        if (++requests === 1) socket.write(answerText("ok"));
        else socket.end();
      });
    });
    const proxy = await rig({ ports: [target.port], endpoints: [{ maxInFlight: 1 }] });
    for (let i = 0; i < 4; i++) expect(status(await proxy.ask(get("/")))).toBe(200);
    expect([connections, proxy.table.admissions.admittedToEndpoint(0)]).toEqual([4, 0]);
  });

  it("is one that an answer of another is not bettered by while it is full", async () => {
    const full = await patientTarget();
    const bad = await backend((_, socket) => void socket.write("HTTP/1.1 503 Said\r\nContent-Length: 3\r\n\r\nbad"));
    const proxy = await rig({ ports: [full.port, bad.port], endpoints: [{ maxInFlight: 1 }, {}] });
    const [first, second] = await askAll(proxy, 2);
    await until(() => full.waiting.length === 1);
    const passedOn = await Promise.race([first!.answer(), second!.answer()]);
    expect([status(passedOn), passedOn.body]).toEqual([503, "bad"]);
    expect(proxy.table.admissions.admittedToEndpoint(0)).toBe(1);
    full.answer();
    await until(() => proxy.counter("responses_2xx") === 1);
  });
});

describe("a queue", () => {
  const options = async (inFlight: Partial<InFlightConfig>, endpoints: readonly Partial<EndpointConfig>[] = []) => {
    const target = await patientTarget();
    const given: RigOptions = { ports: [target.port], pool: limited(inFlight), endpoints };
    return { target, given };
  };

  it.each([
    { name: "by the pool's limit", inFlight: { max: 1, queueSize: 4 }, endpoints: [] },
    { name: "by the endpoint's limit", inFlight: { queueSize: 4 }, endpoints: [{ maxInFlight: 1 }] },
  ])("lets those that wait $name go in the order in which they came", async ({ inFlight, endpoints }) => {
    const { target, given } = await options(inFlight, endpoints);
    const proxy = await rig(given);
    const clients = await askAll(proxy, 5);
    expect([proxy.counter("queued"), proxy.counter("queued_active")]).toEqual([4, 4]);
    for (const [i, client] of clients.entries()) {
      await until(() => target.waiting.length === 1);
      expect(target.paths()).toEqual([`/${i}`]);
      target.answer();
      expect(status(await client.answer())).toBe(200);
    }
    expect([target.most, proxy.counter("queued_active"), proxy.counter("limit_in_flight")]).toEqual([1, 0, 0]);
  });

  it("has a newcomer go behind those that wait, on whatever connection", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig(given);
    const [first, second] = await askAll(proxy, 2);
    // Asks again on the connection whose answer makes the room, in the very same call.
    first!.send(get("/again"));
    await until(() => target.waiting.length === 1);
    target.answer();
    await first!.answer();
    await until(() => target.waiting.length === 1);
    expect(target.paths()).toEqual(["/1"]);
    target.answer();
    await second!.answer();
    await until(() => target.waiting.length === 1);
    target.answer();
    expect(status(await first!.answer())).toBe(200);
  });

  it("that is full refuses at once", async () => {
    const { target, given } = await options({ max: 1, queueSize: 1 });
    const proxy = await rig(given);
    const clients = await askAll(proxy, 3);
    expect(status(await clients[2]!.answer())).toBe(503);
    expect([proxy.counter("limit_in_flight"), proxy.counter("queued")]).toEqual([1, 1]);
    for (const client of clients.slice(0, 2)) {
      await until(() => target.waiting.length === 1);
      target.answer();
      expect(status(await client.answer())).toBe(200);
    }
  });

  it("keeps nobody for longer than it may", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4, queueTimeoutMs: 1 });
    const proxy = await rig(given);
    const [first, second] = await askAll(proxy, 2);
    const answer = await second!.answer();
    expect(status(answer)).toBe(503);
    expect(answer.head).toMatch(/^Proxy-Status: penstock; error=connection_limit_reached\r$/m);
    expect(answer.head).toMatch(/^Retry-After: 1\r$/m);
    expect([proxy.counter("limit_queue_time"), proxy.counter("queued_active")]).toEqual([1, 0]);
    target.answer();
    expect(status(await first!.answer())).toBe(200);
    expect(target.target.requests).toHaveLength(1);
  });

  it("is left by a client that goes away, and its turn is the next one's", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig(given);
    const clients = await askAll(proxy, 3);
    clients[1]!.reset();
    await until(() => proxy.counter("queued_active") === 1);
    target.answer();
    await clients[0]!.answer();
    await until(() => target.waiting.length === 1);
    expect(target.paths()).toEqual(["/2"]);
    target.answer();
    expect(status(await clients[2]!.answer())).toBe(200);
  });

  it("holds a body back until its turn, and sends it whole", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig(given);
    const body = "x".repeat(100_000);
    const clients = await askAll(proxy, 2, (path) => post(path, body));
    for (const client of clients) {
      await until(() => target.waiting.length === 1);
      target.answer();
      expect(status(await client.answer())).toBe(200);
    }
    expect(target.target.requests.map((request) => request.body.length)).toEqual([100_000, 100_000]);
  });

  it("ends with the time that the route has in all", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig({ ...given, routes: [{ paths: ["/0"] }, { paths: ["/1"], totalTimeoutMs: 1 }] });
    const clients = await askAll(proxy, 2);
    expect(status(await clients[1]!.answer())).toBe(504);
    expect(proxy.counter("queued_active")).toBe(0);
    target.answer();
    expect(status(await clients[0]!.answer())).toBe(200);
  });

  it.each([
    { name: "a higher limit", next: { pool: limited({ max: 3, queueSize: 4 }) } },
    { name: "no limit", next: { pool: {} } },
  ])("is emptied at once by a configuration with $name", async ({ next }) => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig(given);
    const clients = await askAll(proxy, 3);
    await until(() => target.waiting.length === 1);
    proxy.reapply({ ...given, ...next });
    await until(() => target.waiting.length === 3);
    expect(target.paths()).toEqual(["/0", "/1", "/2"]);
    for (let i = 0; i < 3; i++) target.answer();
    for (const client of clients) expect(status(await client.answer())).toBe(200);
  });

  it("goes to the endpoints that there are when the turn comes, and is answered where there is none", async () => {
    const { target, given } = await options({ max: 1, queueSize: 4 });
    const proxy = await rig(given);
    const clients = await askAll(proxy, 2);
    const other = await patientTarget();
    proxy.apply({ ...given, ports: [other.port] });
    target.answer();
    await clients[0]!.answer();
    await until(() => other.waiting.length === 1);
    const third = proxy.client().send(get("/2"));
    await until(() => proxy.counter("queued_active") === 1);
    proxy.apply({ ...given, ports: [] });
    other.answer();
    await clients[1]!.answer();
    expect(status(await third.answer())).toBe(503);
  });

  it("finds an endpoint that comes back while it waits", async () => {
    const { target, given } = await options({ queueSize: 4 }, [{ maxInFlight: 1 }, { maxInFlight: 1 }]);
    const other = await patientTarget();
    const proxy = await rig({ ...given, ports: [target.port, other.port] });
    proxy.table.eject(0, 1);
    const clients = await askAll(proxy, 2);
    proxy.table.readmit(0, 1);
    await until(() => target.waiting.length + other.waiting.length === 2);
    target.answer();
    other.answer();
    for (const client of clients) expect(status(await client.answer())).toBe(200);
  });

  it("takes a request whose endpoint refuses while the other one is full, and tries that when it has room", async () => {
    const target = await patientTarget();
    const proxy = await rig({
      ports: [target.port, await closedPort()],
      pool: limited({ max: 2, queueSize: 4 }),
      endpoints: [{ maxInFlight: 1 }, {}],
    });
    const clients = await askAll(proxy, 2);
    await until(() => proxy.counter("queued_active") === 1);
    expect([proxy.counter("connect_failures"), proxy.table.admissions.admittedToPool(0)]).toEqual([1, 1]);
    for (let i = 0; i < 2; i++) {
      await until(() => target.waiting.length === 1);
      target.answer();
    }
    for (const client of clients) expect(status(await client.answer())).toBe(200);
    expect([target.most, proxy.counter("retries")]).toEqual([1, 1]);
  });
});

describe("a request that waits to be sent elsewhere", () => {
  const given = async (queueSize: number) => {
    const full = await patientTarget();
    const failing = await backend(({ head }, socket) => {
      if (head.includes(" /bad ")) socket.destroy();
      else socket.write(answerText("ok"));
    });
    const proxy = await rig({
      ports: [full.port, failing.port],
      pool: limited({ queueSize }),
      endpoints: [{ maxInFlight: 1 }, {}],
    });
    const holder = proxy.client().send(get("/0"));
    await until(() => full.waiting.length === 1);
    return { proxy, full, holder };
  };

  it.each([1, 4])("holds up nobody whom the others have room for, in a queue of %i", async (queueSize) => {
    const { proxy, full, holder } = await given(queueSize);
    const bad = proxy.client().send(get("/bad"));
    await until(() => proxy.counter("queued_active") === 1);
    for (let i = 0; i < 3; i++) expect(status(await proxy.ask(get("/good")))).toBe(200);
    expect(full.paths()).toEqual(["/0"]);
    full.answer();
    expect(status(await holder.answer())).toBe(200);
    await until(() => full.waiting.length === 1);
    expect(full.paths()).toEqual(["/bad"]);
    full.answer();
    expect(status(await bad.answer())).toBe(200);
    expect([full.most, proxy.counter("queued_active")]).toEqual([1, 0]);
  });
});

describe("a trial where there are limits", () => {
  it("counts as what it is: a request", async () => {
    const targets = [await patientTarget(), await patientTarget()];
    const proxy = await rig({
      ports: targets.map(({ port }) => port),
      pool: limited({ max: 1 }),
      endpoints: [{ maxInFlight: 1 }, { maxInFlight: 1 }],
    });
    proxy.table.eject(0, 1);
    proxy.table.offerTrial(0, 1, false);
    const client = proxy.client().send(get("/"));
    await until(() => targets[1]!.waiting.length === 1);
    expect([proxy.table.admissions.admittedToEndpoint(1), status(await proxy.ask(get("/")))]).toEqual([1, 503]);
    targets[1]!.answer();
    expect(status(await client.answer())).toBe(200);
    expect(proxy.trials).toEqual(["1 passed"]);
  });

  it("is offered again where the endpoint is full", async () => {
    const targets = [await patientTarget(), await patientTarget()];
    const proxy = await rig({ ports: targets.map(({ port }) => port), endpoints: [{}, { maxInFlight: 1 }] });
    proxy.table.admissions.admitToEndpoint(1, 1);
    proxy.table.eject(0, 1);
    proxy.table.offerTrial(0, 1, false);
    const client = proxy.client().send(get("/"));
    await until(() => targets[0]!.waiting.length === 1);
    expect(proxy.trials).toEqual(["1 unclear"]);
    targets[0]!.answer();
    expect(status(await client.answer())).toBe(200);
    proxy.table.admissions.leaveEndpoint(1);
  });
});
