import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { hash32 } from "../balance/hash32.ts";
import { defaultBalancing, type HashConfig, type HashInputConfig } from "../config/balancing-config.ts";
import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import {
  answerText,
  backend,
  closedPort,
  get,
  type RawMessage,
  type RigOptions,
  rawBackend,
  rig,
  until,
} from "./proxy-server.test-rig.ts";

const hello = (lines = "") => backend((_, socket) => void socket.write(answerText("hello", lines)));
const cookiesOf = ({ head }: RawMessage): string[] =>
  [...head.matchAll(/^set-cookie: (.*)\r$/gim)].map(([, text]) => text!);
const address = "127.0.0.1";

/** Round-robin that hashes all the same: what is read of a request is not the picker's business. */
function hashed(on: HashInputConfig, fallback: HashInputConfig | null = null): Partial<PoolConfig> {
  const hash: HashConfig = { on, fallback, boundedLoad: null };
  return { balancing: { ...defaultBalancing, hash } };
}

/** A proxy that tells what it hashed of each request. */
async function hashing(pool: Partial<PoolConfig>, more: Partial<RigOptions> = {}) {
  const target = await hello();
  const proxy = await rig({ ports: [target.port], pool, ...more });
  const hashes: number[] = [];
  const { picker } = proxy.server.engine.snapshots.current!.pools[0]!;
  const { pick } = picker;
  picker.pick = function (question) {
    hashes.push(question.hash);
    return pick.call(this, question);
  };
  return {
    proxy,
    async hashOf(text: string): Promise<number> {
      expect((await proxy.ask(text)).head).toMatch(/^HTTP\/1.1 200/);
      return hashes.pop()!;
    },
  };
}

describe("what a pool hashes", () => {
  const header = { kind: "header", name: "x-user" } as const;
  const argument = { kind: "query_arg", name: "user" } as const;
  it.each([
    { name: "the client's address", on: { kind: "ip" }, text: get("/"), want: address },
    { name: "a header", on: header, text: get("/", "X-User: ann\r\n"), want: "ann" },
    { name: "all headers of the name", on: header, text: get("/", "x-user: ann\r\nX-USER: bob\r\n"), want: "ann,bob" },
    { name: "the address without the header", on: header, text: get("/", "X-Users: ann\r\n"), want: address },
    { name: "the address with an empty one", on: header, text: get("/", "X-User: \r\n"), want: address },
    { name: "the path in its normal spelling", on: { kind: "path" }, text: get("/%61/./b?x=1"), want: "/a/b" },
    { name: "an argument", on: argument, text: get("/?a=1&user=ann"), want: "ann" },
    { name: "arguments in any order", on: argument, text: get("/?user=bob&user=ann"), want: "ann,bob" },
    { name: "an argument decoded", on: argument, text: get("/?us%65r=%c3%a4+n%2Cn"), want: "\u00e4 n,n" },
    { name: "an argument that cannot be decoded", on: argument, text: get("/?user=%ff"), want: "%ff" },
    { name: "the address without the argument", on: argument, text: get("/?users=ann&user"), want: address },
    { name: "the address without a query", on: argument, text: get("/"), want: address },
    { name: "the address, as nobody is known by name", on: { kind: "consumer" }, text: get("/"), want: address },
  ] as const)("is $name", async ({ on, text, want }) => {
    const { hashOf } = await hashing(hashed(on));
    expect(await hashOf(text)).toBe(hash32(want));
  });

  it.each([
    { group: "1", path: "/users/ann/posts/7", want: "ann" },
    { group: "id", path: "/users/ann/posts/7", want: "7" },
    { group: "0", path: "/users/ann/posts/7/more", want: "/users/ann/posts/7" },
    { group: "2", path: "/users/ann/posts/7", want: "7" },
    { group: "3", path: "/users/ann/posts/7", want: address },
    { group: "other", path: "/users/ann/posts/7", want: address },
    { group: "1", path: "/plain/ann", want: address },
  ])("is group $group of the route's regular expression in $path", async ({ group, path, want }) => {
    const routes = [{ paths: ["~/users/([a-z]+)/posts/(?<id>[0-9]+)", "/plain"] }];
    const { hashOf } = await hashing(hashed({ kind: "uri_capture", name: group }), { routes });
    expect(await hashOf(get(path))).toBe(hash32(want));
  });

  it("is the fallback where there is nothing else", async () => {
    const { hashOf } = await hashing(hashed(header, argument));
    expect(await hashOf(get("/?user=bob", "X-User: ann\r\n"))).toBe(hash32("ann"));
    expect(await hashOf(get("/?user=bob"))).toBe(hash32("bob"));
    expect(await hashOf(get("/"))).toBe(hash32(address));
  });

  it("is the address that a trusted proxy names, and that of none else", async () => {
    const trusting = await hashing(hashed({ kind: "ip" }), { server: { trustedProxies: ["127.0.0.1"] } });
    expect(await trusting.hashOf(get("/", "X-Forwarded-For: 192.0.2.7\r\n"))).toBe(hash32("192.0.2.7"));
    const other = await hashing(hashed({ kind: "ip" }));
    expect(await other.hashOf(get("/", "X-Forwarded-For: 192.0.2.7\r\n"))).toBe(hash32(address));
  });
});

describe("a cookie that is hashed", () => {
  const on = { kind: "cookie", name: "session", path: "/shop" } as const;

  it("is given to a client without one, and is what its next requests hash to", async () => {
    const { proxy, hashOf } = await hashing(hashed(on));
    const [given] = cookiesOf(await proxy.ask(get("/")));
    expect(given).toMatch(/^session=[0-9a-f-]{36}; Path=\/shop; HttpOnly; SameSite=Lax$/);
    const value = /=([^;]+)/.exec(given!)![1]!;
    expect(await hashOf(get("/", `Cookie: session=${value}\r\n`))).toBe(hash32(value));
    expect(cookiesOf(await proxy.ask(get("/", `Cookie: session=${value}\r\n`)))).toEqual([]);
  });

  it("is another one for each client, also as the fallback", async () => {
    const { proxy } = await hashing(hashed({ kind: "header", name: "x-user" }, on));
    expect(cookiesOf(await proxy.ask(get("/", "X-User: ann\r\n")))).toEqual([]);
    const given = [await proxy.ask(get("/")), await proxy.ask(get("/"))].flatMap(cookiesOf);
    expect(new Set(given).size).toBe(2);
  });

  it("leaves the target's own cookies as they are", async () => {
    const target = await hello("Set-Cookie: session=theirs\r\nset-cookie: other=1; Secure\r\n");
    const proxy = await rig({ ports: [target.port], pool: hashed(on) });
    const cookies = cookiesOf(await proxy.ask(get("/")));
    expect(cookies.slice(0, 2)).toEqual(["session=theirs", "other=1; Secure"]);
    expect(cookies).toHaveLength(3);
  });

  it("is given with no answer of our own, and with none before the last", async () => {
    const dead = await rig({ ports: [await closedPort()], pool: hashed(on) });
    expect(cookiesOf(await dead.ask(get("/")))).toEqual([]);
    const target = await backend(
      (_, socket) => void socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${answerText("hello")}`),
    );
    const proxy = await rig({ ports: [target.port], pool: hashed(on) });
    const client = proxy.client().send(get("/"));
    const interim = await client.answer(false);
    expect([interim.head.slice(9, 12), cookiesOf(interim)]).toEqual(["103", []]);
    expect(cookiesOf(await client.answer())).toHaveLength(1);
  });
});

describe("the cookie of sticky sessions", () => {
  const sticky: Partial<PoolConfig> = {
    algorithm: "sticky-sessions",
    balancing: { ...defaultBalancing, sticky: { name: "route", path: "/" } },
  };
  const endpoints = [{ stickyKey: "k0" }, { stickyKey: "k1" }, { stickyKey: "k2" }];
  const line = (key: string) => `route=${key}; Path=/; HttpOnly; SameSite=Lax`;

  it("names the endpoint that answered, and is not given again where it names that already", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], pool: sticky, endpoints });
    expect(cookiesOf(await proxy.ask(get("/")))).toEqual([line("k0")]);
    expect(cookiesOf(await proxy.ask(get("/", "Cookie: route=k0\r\n")))).toEqual([]);
    expect(cookiesOf(await proxy.ask(get("/", "Cookie: route=gone\r\n")))).toEqual([line("k0")]);
  });

  it("names the endpoint that a retry has moved the session to", async () => {
    const bad = await backend((_, socket) => void socket.write("HTTP/1.1 503 Said\r\nContent-Length: 0\r\n\r\n"));
    const good = await hello();
    const proxy = await rig({ ports: [bad.port, good.port], pool: sticky, endpoints });
    const keys = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const answer = await proxy.ask(get("/", "Cookie: route=k0\r\n"));
      expect(answer.head).toMatch(/^HTTP\/1.1 200/);
      for (const cookie of cookiesOf(answer)) keys.add(cookie);
    }
    expect([...keys]).toEqual([line("k1")]);
    expect(bad.requests.length).toBeGreaterThan(0);
    const refusing = await rig({ ports: [await closedPort(), good.port], pool: sticky, endpoints });
    for (let i = 0; i < 4; i++) {
      expect(cookiesOf(await refusing.ask(get("/", "Cookie: route=k0\r\n")))).toEqual([line("k1")]);
    }
  });

  it.each<{ name: string; endpoint: Partial<EndpointConfig>; isOut: boolean; want: string[] }>([
    { name: "stays where it has no room", endpoint: {}, isOut: false, want: [] },
    {
      name: "leaves one that is emptied, where it has no room",
      endpoint: { weight: 0 },
      isOut: false,
      want: [line("k1")],
    },
    { name: "leaves one that is out and full", endpoint: {}, isOut: true, want: [line("k1")] },
  ])("$name: another endpoint answers that request", async ({ endpoint, isOut, want }) => {
    const held: Socket[] = [];
    const full = await backend((_, socket) => void held.push(socket));
    const other = await hello();
    const ports = [full.port, other.port];
    const limitedOne = { ...endpoints[0], ...endpoint, maxInFlight: 1 };
    const proxy = await rig({ ports, pool: sticky, endpoints: [limitedOne, endpoints[1]!] });
    const holder = proxy.client().send(get("/", "Cookie: route=k0\r\n"));
    await until(() => held.length === 1);
    if (isOut) proxy.table.eject(0, 0);
    for (let i = 0; i < 3; i++) expect(cookiesOf(await proxy.ask(get("/", "Cookie: route=k0\r\n")))).toEqual(want);
    if (isOut) proxy.table.readmit(0, 0);
    held.pop()!.write(answerText("held"));
    expect(cookiesOf(await holder.answer())).toEqual([]);
    const again = proxy.client().send(get("/", "Cookie: route=k0\r\n"));
    await until(() => held.length === 1);
    held.pop()!.write(answerText("back"));
    expect([cookiesOf(await again.answer()), other.requests.length]).toEqual([[], 3]);
  });

  it("comes with the answer that opens a tunnel", async () => {
    const target = await rawBackend((socket) => {
      socket.on("data", () => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      });
    });
    const proxy = await rig({ ports: [target.port], pool: sticky, endpoints });
    const client = proxy.client().send(get("/", "Upgrade: websocket\r\nConnection: Upgrade\r\n"));
    expect(cookiesOf(await client.answer(false))).toEqual([line("k0")]);
    client.close();
    await until(() => proxy.counter("tunnels_active") === 0);
  });

  it("is no other request's of the same connection, where the algorithm changes while one waits", async () => {
    const held: Socket[] = [];
    const target = await backend(({ head }, socket) => {
      if (head.includes(" /held ")) held.push(socket);
      else socket.write(answerText("hello"));
    });
    const given: RigOptions = { ports: [target.port], pool: sticky, endpoints };
    const proxy = await rig(given);
    const client = proxy.client().send(get("/", "Cookie: route=k0\r\n"));
    await client.answer();
    const inFlight = { max: 1, queueSize: 1, queueTimeoutMs: 60_000 };
    proxy.reapply({ ...given, pool: { balancing: { ...defaultBalancing, inFlight } } });
    const holder = proxy.client().send(get("/held"));
    await until(() => held.length > 0);
    client.send(get("/"));
    await until(() => proxy.counter("queued_active") === 1);
    proxy.reapply({ ...given, pool: sticky });
    const [cookie] = cookiesOf(await client.answer());
    expect(cookie).toBe(line("k0"));
    held[0]!.write(answerText("held"));
    await holder.answer();
  });

  it("is none where no session is to be kept", async () => {
    const target = await hello();
    const proxy = await rig({ ports: [target.port], pool: sticky, endpoints: [{ stickyKey: "" }] });
    expect(cookiesOf(await proxy.ask(get("/")))).toEqual([]);
  });
});

describe("latency", () => {
  const slowBy = (ms: number) => backend((_, socket) => void setTimeout(() => socket.write(answerText("hello")), ms));

  it("is noted of each answer, where the pool goes by it", async () => {
    const target = await slowBy(20);
    const proxy = await rig({ ports: [target.port], pool: { algorithm: "latency" } });
    await proxy.ask(get("/"));
    const us = proxy.table.latencyUs(0);
    // A timer of Node may fire a moment early.
    expect(us).toBeGreaterThan(15_000);
    const other = await rig({ ports: [target.port] });
    await other.ask(get("/"));
    expect(other.table.latencyUs(0)).toBe(0);
  });

  it("is no better for an attempt that was refused, and as bad as what was waited for in vain", async () => {
    const proxy = await rig({ ports: [await closedPort()], pool: { algorithm: "latency" } });
    proxy.table.setLatency(0, 50_000, performance.now());
    await proxy.ask(get("/"));
    expect(proxy.table.latencyUs(0)).toBe(50_000);
    const silent = await rawBackend(() => {});
    const patient = await rig({
      ports: [silent.port],
      pool: { algorithm: "latency" },
      service: { readTimeoutMs: 60, retries: 0 },
    });
    await patient.ask(get("/"));
    expect(patient.table.latencyUs(0)).toBeGreaterThan(55_000);
  });
});
