import { describe, expect, it } from "vitest";
import { admin } from "../support/admin-client.ts";
import { type Asking, type BalancedPlanes, startBalancedPlanes, tally } from "../support/balanced-planes.ts";

const user = (i: number): Asking => ({ headers: { "x-user": `user-${i}` } });
const address = (i: number): Asking => ({ from: `127.0.0.${10 + i}` });

/** The same questions from the last to the first, and who answered them, from the first to the last: not what turns would give. */
async function askedBackwards(planes: BalancedPlanes, count: number, asking: (i: number) => Asking): Promise<string[]> {
  return (await planes.askTimes(count, (i) => asking(count - 1 - i))).reverse();
}

/** The cookie that an answer gives, with its attributes; null when it gives none. */
function givenCookie({ headers }: Awaited<ReturnType<BalancedPlanes["ask"]>>) {
  const [text] = headers["set-cookie"] ?? [];
  if (text === undefined) return null;
  const [pair = "", ...attributes] = text.split(/; */);
  const [name, value] = pair.split("=");
  return { name, value, pair, attributes: attributes.sort() };
}

describe("round-robin", () => {
  it("follows the weights exactly, over all workers, also after they change", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream("algorithm=round-robin");
    for (const [name, weight] of [
      ["a", 50],
      ["b", 30],
      ["c", 20],
    ] as const)
      await planes.setTarget(name, `weight=${weight}`);
    expect(tally(await planes.askTimes(100))).toEqual({ a: 50, b: 30, c: 20 });
    await planes.setTarget("a", "weight=0");
    expect(tally(await planes.askTimes(100))).toEqual({ b: 60, c: 40 });
  });
});

describe("least-connections", () => {
  it("sends to the target with less under way, and to both when it is over", async () => {
    const planes = await startBalancedPlanes(2);
    await planes.setUpstream("algorithm=least-connections");
    const [a, b] = [planes.targets[0]!, planes.targets[1]!];
    const held = [];
    let answeredCount = 0;
    // One after the other: each has to see the one before it.
    for (let i = 1; i <= 6; i++) {
      held.push(planes.ask({ path: "/held" }).finally(() => void answeredCount++));
      await planes.heldCount(i);
    }
    expect([a.held.length, b.held.length]).toEqual([3, 3]);
    for (const response of b.held) response.end();
    // Only then has the node seen that they are over.
    while (answeredCount < 3) await new Promise(setImmediate);
    expect(tally(await planes.askTimes(20))).toEqual({ b: 20 });
    for (const response of a.held) response.end();
    await Promise.all(held);
    expect(Object.keys(tally(await planes.askTimes(20))).sort()).toEqual(["a", "b"]);
  });
});

describe("latency", () => {
  it("sends little to a target that is slow", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream("algorithm=latency");
    // Slow, but not silent: stalls begin at 500 ms.
    planes.targets[0]!.delayMs = 400;
    const counts = tally(await planes.askTimes(60));
    expect(counts["a"] ?? 0).toBeLessThanOrEqual(3);
    expect(counts["b"]).toBeGreaterThan(15);
    expect(counts["c"]).toBeGreaterThan(15);
  });
});

describe("consistent-hashing", () => {
  it("keeps each value of a header at one target, the same on every node", async () => {
    const planes = await startBalancedPlanes(3, [{}, {}]);
    await planes.setUpstream("algorithm=consistent-hashing&hash_on=header&hash_on_header=X-User");
    const first = await planes.askTimes(30, user);
    expect(Object.keys(tally(first)).sort()).toEqual(["a", "b", "c"]);
    expect(await askedBackwards(planes, 30, user)).toEqual(first);
    expect(await askedBackwards(planes, 30, (i) => ({ ...user(i), node: 1 }))).toEqual(first);
  });

  it("moves only the values of a target that is out, and has them back when it is in", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream("algorithm=consistent-hashing&hash_on=header&hash_on_header=X-User");
    const before = await planes.askTimes(30, user);
    await planes.setHealth("a", "unhealthy");
    const without = await planes.askTimes(30, user);
    expect(without).not.toContain("a");
    expect(without.filter((name, i) => before[i] !== "a" && name !== before[i])).toEqual([]);
    await planes.setHealth("a", "healthy");
    expect(await askedBackwards(planes, 30, user)).toEqual(before);
  });

  it("goes by the client's address where nothing is named, and where a request has nothing of what is", async () => {
    const planes = await startBalancedPlanes(3);
    const { headers } = await planes.setUpstream("algorithm=consistent-hashing");
    expect(headers.get("penstock-warning")).toBe("hash_on: nothing is named to be hashed: the client's address is");
    const alone = await planes.askTimes(30, address);
    expect(Object.keys(tally(alone)).sort()).toEqual(["a", "b", "c"]);
    expect(await askedBackwards(planes, 30, address)).toEqual(alone);
    await planes.setUpstream("hash_on=header&hash_on_header=X-User&hash_fallback=query_arg&hash_fallback_query_arg=q");
    expect(await askedBackwards(planes, 30, address)).toEqual(alone);
  });

  it("goes by the fallback where a request has no primary input", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream({
      algorithm: "consistent-hashing",
      hash_on: "header",
      hash_on_header: "X-User",
      hash_fallback: "query_arg",
      hash_fallback_query_arg: "q",
    });
    const asked = (i: number): Asking => ({ path: `/?q=${i}` });
    const names = await planes.askTimes(30, asked);
    expect(Object.keys(tally(names)).sort()).toEqual(["a", "b", "c"]);
    expect(await askedBackwards(planes, 30, (i) => ({ ...asked(i), ...address(i) }))).toEqual(names);
  });

  it("gives a cookie to whoever has none, and goes by it", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream({
      algorithm: "consistent-hashing",
      hash_on: "cookie",
      hash_on_cookie: "who",
      hash_on_cookie_path: "/shop",
    });
    const answer = await planes.ask();
    const cookie = givenCookie(answer)!;
    expect([cookie.name, cookie.attributes]).toEqual(["who", ["HttpOnly", "Path=/shop", "SameSite=Lax"]]);
    const asking = { headers: { cookie: `x=y; ${cookie.pair}` } };
    expect(tally(await planes.askTimes(12, () => asking))).toEqual({ [answer.target]: 12 });
    expect(givenCookie(await planes.ask(asking))).toBeNull();
    const others = new Set<string>();
    for (let i = 0; i < 30; i++) others.add((await planes.ask()).target);
    expect([...others].sort()).toEqual(["a", "b", "c"]);
  });
});

describe("sticky-sessions", () => {
  const fields = "algorithm=sticky-sessions&sticky_sessions_cookie=sid&sticky_sessions_cookie_path=/shop";

  it("sends a client to the target that its cookie names, on every node", async () => {
    const planes = await startBalancedPlanes(3, [{}, {}]);
    await planes.setUpstream(fields);
    const first = await planes.ask();
    const cookie = givenCookie(first)!;
    expect([cookie.name, cookie.attributes]).toEqual(["sid", ["HttpOnly", "Path=/shop", "SameSite=Lax"]]);
    expect(cookie.value).toMatch(/^[0-9a-f]{16}$/);
    const asking = (node: number) => () => ({ headers: { cookie: cookie.pair }, node });
    for (const node of [0, 1]) expect(tally(await planes.askTimes(12, asking(node)))).toEqual({ [first.target]: 12 });
    expect(givenCookie(await planes.ask(asking(1)()))).toBeNull();
    expect(tally(await planes.askTimes(30))).toEqual({ a: 10, b: 10, c: 10 });
  });

  it("keeps the sessions of a target of weight 0, and gives it no new ones", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream(fields);
    const { target, ...answer } = await planes.ask();
    const cookie = givenCookie({ target, ...answer })!;
    await planes.setTarget(target, { weight: 0 });
    expect(tally(await planes.askTimes(6, () => ({ headers: { cookie: cookie.pair } })))).toEqual({ [target]: 6 });
    expect(await planes.askTimes(20)).not.toContain(target);
  });

  it("names another target where that of the session is out", async () => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream(fields);
    const first = await planes.ask();
    await planes.setHealth(first.target, "unhealthy");
    const moved = await planes.ask({ headers: { cookie: givenCookie(first)!.pair } });
    expect([moved.status, moved.target === first.target]).toEqual([200, false]);
    const { pair } = givenCookie(moved)!;
    expect(tally(await planes.askTimes(6, () => ({ headers: { cookie: pair } })))).toEqual({ [moved.target]: 6 });
  });
});

const algorithms: readonly Record<string, unknown>[] = [
  { algorithm: "round-robin" },
  { algorithm: "least-connections" },
  { algorithm: "latency" },
  { algorithm: "consistent-hashing", hash_on: "header", hash_on_header: "X-User" },
  { algorithm: "sticky-sessions", sticky_sessions_cookie: "sid" },
];

describe("tiers, zones and limits", () => {
  it.each(algorithms)("sends to a lower tier when the first is out, and back ($algorithm)", async (fields) => {
    const planes = await startBalancedPlanes(3);
    await planes.setUpstream(fields);
    await planes.setTarget("b", { failover: true });
    await planes.setTarget("c", { priority: 2 });
    expect(tally(await planes.askTimes(9, user))).toEqual({ a: 9 });
    await planes.setHealth("a", "unhealthy");
    expect(tally(await planes.askTimes(9, user))).toEqual({ b: 9 });
    await planes.setHealth("b", "unhealthy");
    expect(tally(await planes.askTimes(9, user))).toEqual({ c: 9 });
    await planes.setHealth("a", "healthy");
    expect(tally(await planes.askTimes(9, user))).toEqual({ a: 9 });
  });

  it.each(algorithms)("prefers targets in the node's zone, if it has one ($algorithm)", async (fields) => {
    const planes = await startBalancedPlanes(3, [{ PENSTOCK_ZONE: "eu-1a" }, {}]);
    await planes.setUpstream({ ...fields, balancing: { zones: { prefer_local: true } } });
    await planes.setTarget("a", { zone: "eu-1a" });
    for (const name of ["b", "c"]) await planes.setTarget(name, { zone: "eu-1b" });
    expect(tally(await planes.askTimes(9, user))).toEqual({ a: 9 });
    const others = await planes.askTimes(40, (i) => ({ ...user(i), node: 1 }));
    expect(Object.keys(tally(others)).sort()).toEqual(["a", "b", "c"]);
    await planes.setHealth("a", "unhealthy");
    expect(await planes.askTimes(9, user)).not.toContain("a");
    const { body } = await admin(planes.adminUrl, "GET", "/clustering/data-planes");
    const zones = (body.data as { labels: Record<string, string> }[]).map(({ labels }) => labels["zone"] ?? "none");
    expect(zones.sort()).toEqual(["eu-1a", "none"]);
  });

  it.each(algorithms)("sends a request that finds one target full to another ($algorithm)", async (fields) => {
    const planes = await startBalancedPlanes(2);
    await planes.setUpstream({ ...fields, balancing: { in_flight: { max_per_endpoint: 1 } } });
    const held = [1, 2].map(() => planes.ask({ ...user(1), path: "/held" }));
    await planes.heldCount(2);
    expect(planes.targets.map((target) => target.held.length)).toEqual([1, 1]);
    expect((await planes.ask(user(1))).status).toBe(503);
    for (const { held: responses } of planes.targets) for (const response of responses) response.end();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200]);
  });

  it("has a request wait for its turn, where it may", async () => {
    const planes = await startBalancedPlanes(1);
    await planes.setUpstream({ balancing: { in_flight: { max: 1, queue_size: 1, queue_timeout: 30_000 } } });
    const first = planes.ask({ path: "/held" });
    await planes.heldCount(1);
    const others = [planes.ask(), planes.ask()];
    // One of the two waits; for the other there is no room.
    expect((await Promise.race(others)).status).toBe(503);
    planes.targets[0]!.held[0]!.end();
    expect([(await first).status, ...(await Promise.all(others)).map(({ status }) => status)].sort()).toEqual([
      200, 200, 503,
    ]);
  });
});
