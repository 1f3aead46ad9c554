import { describe, expect, it } from "vitest";
import { hashRings } from "../balance/hash-ring.ts";
import type { EndpointSet } from "../config/worker-config.ts";
import { member, pool, resolverRig } from "./endpoint-resolver.test-rig.ts";
import type { PoolMember, PoolPlan } from "./pool-plan.ts";

const slotsOf = (set: EndpointSet | undefined) => set?.rings?.map(({ slots }) => new Uint16Array(slots));
const addresses = (set: EndpointSet | undefined) => set?.endpoints.map(({ address, port }) => `${address}:${port}`);

describe("EndpointResolver", () => {
  it("makes an endpoint of every address of every member, each with the member's weight", async () => {
    const { endpoints, names, timers, ...rigged } = resolverRig();
    rigged.hostsText = "";
    await rigged.write("10.0.0.1 a\n10.0.0.2 a\n10.0.0.3 b");
    const pools = [pool("p", member("A", 81, 7), member("b"), member("10.0.0.9"))];
    await endpoints.prepare(pools);
    const set = endpoints.use(pools)!.sets[0]!;
    expect(addresses(set)).toEqual(["10.0.0.1:81", "10.0.0.2:81", "10.0.0.3:80", "10.0.0.9:80"]);
    expect(set.endpoints.map(({ weight }) => weight)).toEqual([7, 7, 100, 100]);
    expect(set.endpoints[0]!.hostHeader).toBe("A");
    expect(set.emptyBecause).toBeNull();
  });

  it("adds the weights of two members that are one, and tells two hosts at one address apart", async () => {
    const { endpoints, write } = resolverRig();
    await write("10.0.0.1 a b");
    const pools = [pool("p", member("a", 80, 65_000), member("a", 80, 1_000), member("b"))];
    await endpoints.prepare(pools);
    expect(endpoints.use(pools)!.sets[0]!.endpoints.map(({ hostHeader, weight }) => [hostHeader, weight])).toEqual([
      // 66,000 to 100, in whole numbers that a weight may be.
      ["a", 660],
      ["b", 1],
    ]);
  });

  it("says why a pool is empty", async () => {
    const { endpoints, timers } = resolverRig();
    const pools = [pool("none"), pool("unresolved", member("x"))];
    const prepared = endpoints.prepare(pools);
    await timers.pass(500);
    await prepared;
    expect(endpoints.use(pools)!.sets.map(({ emptyBecause }) => emptyBecause)).toEqual(["no_targets", "unresolved"]);
  });

  it("keeps the rows of endpoints and pools across snapshots, and gives the others their own", async () => {
    const { endpoints } = resolverRig();
    const first = endpoints.use([pool("p", member("10.0.0.1")), pool("q", member("10.0.0.1"))])!;
    const second = endpoints.use([pool("q", member("10.0.0.2"), member("10.0.0.1"))])!;
    const [p, q] = first.sets.map((set) => set.endpoints[0]!.row);
    expect(p).not.toBe(q);
    expect(second.sets[0]!.endpoints[1]!.row).toBe(q);
    expect(second.poolRows).toEqual([first.poolRows[1]]);
  });

  it("sends the pools whose names resolve differently, in one message, and no others", async () => {
    const { endpoints, write, sent } = resolverRig();
    await write("10.0.0.1 a\n10.0.0.2 b");
    const pools = [pool("p", member("a")), pool("q", member("b")), pool("r", member("a"), member("b"))];
    await endpoints.prepare(pools);
    endpoints.use(pools);
    await write("10.0.0.3 a\n10.0.0.2 b");
    expect(sent.map((sets) => sets.map(({ poolKey }) => poolKey))).toEqual([["p", "r"]]);
    expect(addresses(sent[0]![0])).toEqual(["10.0.0.3:80"]);
    expect(endpoints.currentSets().map((set) => addresses(set)?.join())).toEqual([
      "10.0.0.3:80",
      "10.0.0.2:80",
      "10.0.0.3:80,10.0.0.2:80",
    ]);
    await write("10.0.0.3 a\n10.0.0.2 b\n10.0.0.4 c");
    expect(sent).toHaveLength(1);
  });

  it("uses what a name stands for now, where it has changed and been told since its pool was prepared", async () => {
    const { endpoints, write, sent } = resolverRig();
    await write("10.0.0.1 a");
    const former = [pool("p", member("a"))];
    await endpoints.prepare(former);
    endpoints.use(former);
    const pools = [pool("p", member("a")), pool("q", member("a"))];
    await endpoints.prepare(pools);
    await write("10.0.0.2 a");
    expect(sent).toHaveLength(1);
    expect(endpoints.use(pools)!.sets.map(addresses)).toEqual([["10.0.0.2:80"], ["10.0.0.2:80"]]);
  });

  it("uses what a name stands for now, where it has changed and been told while the pool's rings were made", async () => {
    const { endpoints, rows, write, sent } = resolverRig();
    await write("10.0.0.1 a");
    const former = [pool("p", member("a"))];
    await endpoints.prepare(former);
    endpoints.use(former);
    const hashing: PoolPlan = { ...pool("q", member("a")), algorithm: "consistent-hashing", slots: 65_536 };
    let isPrepared = false;
    const prepared = endpoints.prepare([...former, hashing]).then(() => {
      isPrepared = true;
    });
    const isBegun = () => rows.rowsOf("q", "a", 80).length > 0;
    while (!isBegun()) await new Promise((resolve) => setImmediate(resolve));
    await write("10.0.0.2 a");
    expect([sent.length, isPrepared]).toEqual([1, false]);
    await prepared;
    const { sets, late } = endpoints.use([...former, hashing])!;
    expect([sets, late].map((each) => each.map(addresses))).toEqual([
      [["10.0.0.2:80"], ["10.0.0.2:80"]],
      [["10.0.0.2:80"]],
    ]);
    expect(slotsOf(sets[1])).toEqual(hashRings(sets[1]!.endpoints, 65_536).map(({ slots }) => new Uint16Array(slots)));
  });

  it("tells of pools that are new before they come into use, by the very sets, and what is in use where they do not", async () => {
    const { endpoints, prepared, used } = resolverRig({ endpointsMax: 2 });
    const [p, q] = [pool("p", member("10.0.0.1")), pool("q", member("10.0.0.2"))];
    await endpoints.prepare([p]);
    expect([prepared.map(({ poolKey }) => poolKey), used]).toEqual([["p"], []]);
    endpoints.use([p]);
    expect(used[0]![0]).toBe(prepared[0]);
    // One that is in use is not new, whatever becomes of it.
    const other = pool("p", member("10.0.0.3"));
    await endpoints.prepare([other, q]);
    expect(prepared.map(({ poolKey }) => poolKey)).toEqual(["p", "q"]);
    await endpoints.prepare([p, q, pool("r", member("10.0.0.4"))]);
    expect(endpoints.use([p, q, pool("r", member("10.0.0.4"))])).toBeNull();
    expect(used.map((sets) => sets.map(({ poolKey }) => poolKey))).toEqual([["p"], ["p"]]);
  });

  it("makes rings over several turns of the event loop, for a snapshot and when a name changes", async () => {
    const { endpoints, write, sent } = resolverRig();
    await write("10.0.0.1 a\n10.0.0.2 b");
    const plan: PoolPlan = { ...pool("p", member("a"), member("b")), algorithm: "consistent-hashing", slots: 65_536 };
    let turnCount = 0;
    const counting = setInterval(() => turnCount++, 0);
    await endpoints.prepare([plan]);
    const turnsToPrepare = turnCount;
    const known = endpoints.use([plan])!;
    const isSent = () => sent.length === 1;
    await write("10.0.0.1 a\n10.0.0.3 b");
    while (!isSent()) await new Promise((resolve) => setImmediate(resolve));
    clearInterval(counting);
    expect([turnsToPrepare > 1, turnCount > turnsToPrepare + 1]).toEqual([true, true]);
    const [set] = sent[0]!;
    expect(addresses(set)).toEqual(["10.0.0.1:80", "10.0.0.3:80"]);
    expect(slotsOf(set)).toEqual(hashRings(set!.endpoints, 65_536).map(({ slots }) => new Uint16Array(slots)));
    expect(slotsOf(set)).not.toEqual(slotsOf(known.sets[0]));
  });

  it("frees a row only when the workers have been told, and some time has passed", async () => {
    const { endpoints, rows, timers, table, catchUp } = resolverRig();
    const row = endpoints.use([pool("p", member("10.0.0.1"))])!.sets[0]!.endpoints[0]!.row;
    endpoints.use([pool("p", member("10.0.0.2"))]);
    expect(rows.endpointAt(row)).toBeNull();
    await timers.pass(400_000);
    expect(rows.sweep(timers.nowMs())).toEqual([]);
    for (const done of catchUp) done();
    await timers.pass(0);
    expect(rows.sweep(timers.nowMs())).toEqual([row]);
    expect(table.allocateEndpointRow()).toBe(row);
  });

  it("frees no row of a pool that is gone while a request still waits in it", async () => {
    const { endpoints, rows, timers, table, catchUp } = resolverRig();
    const { poolRows, sets } = endpoints.use([pool("p", member("10.0.0.1"))])!;
    expect(table.admissions.beginToWait(poolRows[0]!, 1)).not.toBe(0);
    endpoints.use([]);
    await timers.pass(400_000);
    for (const done of catchUp) done();
    await timers.pass(0);
    expect(rows.sweep(timers.nowMs())).toEqual([]);
    table.admissions.endWaiting(poolRows[0]!);
    expect(rows.sweep(timers.nowMs())).toEqual([sets[0]!.endpoints[0]!.row]);
  });

  it("knows an endpoint that comes back soon, with its ejection", async () => {
    const { endpoints, rows, timers, table, catchUp } = resolverRig();
    const use = () => endpoints.use([pool("p", member("10.0.0.1"))])!;
    const { poolRows, sets } = use();
    const row = sets[0]!.endpoints[0]!.row;
    table.eject(poolRows[0]!, row);
    endpoints.use([]);
    expect(rows.ejectedRows()).toEqual([]);
    for (const done of catchUp) done();
    await timers.pass(299_000);
    expect(use().sets[0]!.endpoints[0]!.row).toBe(row);
    expect(rows.ejectedRows()).toEqual([row]);
    // It is in use again: nothing of it may be freed, however much later.
    await timers.pass(400_000);
    expect(rows.sweep(timers.nowMs())).toEqual([]);
  });

  it("takes no config with more endpoints than the node may have, and goes on with the one before", () => {
    const { endpoints } = resolverRig({ endpointsMax: 2 });
    endpoints.use([pool("p", member("10.0.0.1"))]);
    expect(endpoints.use([pool("p", member("10.0.0.1"), member("10.0.0.2"), member("10.0.0.3"))])).toBeNull();
    expect(endpoints.currentSets().map(addresses)).toEqual([["10.0.0.1:80"]]);
  });

  it("takes no config that the table has no rows for", () => {
    const { endpoints } = resolverRig({ endpointRowsMax: 1 });
    expect(endpoints.use([pool("p", member("10.0.0.1"), member("10.0.0.2"))])).toBeNull();
  });

  it("keeps a pool's endpoints when its names come to have too many", async () => {
    const { endpoints, write, sent, overflows } = resolverRig({ endpointsMax: 2 });
    await write("10.0.0.1 a");
    const pools = [pool("p", member("a"))];
    await endpoints.prepare(pools);
    endpoints.use(pools);
    await write("10.0.0.1 a\n10.0.0.2 a\n10.0.0.3 a");
    expect(overflows).toEqual(["p"]);
    expect(endpoints.currentSets().map(addresses)).toEqual([["10.0.0.1:80"]]);
    expect(sent).toEqual([]);
  });

  describe("weights", () => {
    const weights = (set: EndpointSet) => set.endpoints.map(({ address, weight }) => [address, weight]);
    const records = [
      { target: "x", port: 8_081, weight: 3 },
      { target: "y", port: 8_082, weight: 1 },
    ];

    async function resolved(members: readonly PoolMember[], given: Partial<PoolPlan>) {
      const rigged = resolverRig();
      await rigged.write("10.0.0.1 a\n10.0.0.2 a\n10.0.0.3 a\n10.0.0.4 b\n10.0.1.1 x\n10.0.1.2 x\n10.0.2.1 y");
      rigged.answers["_http._tcp.s"] = { type: "services", records, ttlMs: 60_000 };
      const pools = [{ ...pool("p", ...members), ...given }];
      const prepared = rigged.endpoints.prepare(pools);
      await rigged.timers.pass(0);
      await prepared;
      return rigged.endpoints.use(pools)!.sets[0]!;
    }

    it("are each address's own by default", async () => {
      const set = await resolved([member("a", 80, 100), member("b", 80, 100)], {});
      expect(weights(set)).toEqual([
        ["10.0.0.1", 100],
        ["10.0.0.2", 100],
        ["10.0.0.3", 100],
        ["10.0.0.4", 100],
      ]);
    });

    it("are those of all addresses of a target together, exactly, where the upstream says so", async () => {
      const set = await resolved([member("a", 80, 100), member("b", 80, 100)], { weightBasis: "per_target" });
      expect(weights(set)).toEqual([
        ["10.0.0.1", 100],
        ["10.0.0.2", 100],
        ["10.0.0.3", 100],
        ["10.0.0.4", 300],
      ]);
    });

    it("are those of SRV records, whose addresses share them", async () => {
      const set = await resolved([member("_http._tcp.s", 80, 100), member("b", 80, 2)], {});
      expect(weights(set)).toEqual([
        ["10.0.1.1", 3],
        ["10.0.1.2", 3],
        ["10.0.2.1", 2],
        ["10.0.0.4", 4],
      ]);
      expect(set.endpoints.map(({ port, hostHeader }) => [port, hostHeader])).toEqual([
        [8_081, "_http._tcp.s:8081"],
        [8_081, "_http._tcp.s:8081"],
        [8_082, "_http._tcp.s:8082"],
        [80, "b"],
      ]);
    });

    it("of a target with SRV records are divided by those, where the upstream says so", async () => {
      const given = { weightBasis: "per_target" as const };
      const set = await resolved([member("_http._tcp.s", 80, 100), member("b", 80, 100)], given);
      expect(weights(set)).toEqual([
        ["10.0.1.1", 75],
        ["10.0.1.2", 75],
        ["10.0.2.1", 50],
        ["10.0.0.4", 200],
      ]);
    });

    it("come with the record's name as Host, where the upstream says so", async () => {
      const set = await resolved([{ ...member("_http._tcp.s"), impliedPort: 8_082 }], { usesSrvName: true });
      expect(set.endpoints.map(({ hostHeader }) => hostHeader)).toEqual(["x:8081", "x:8081", "y"]);
    });
  });

  it("tells two names of SRV records at one address and port apart, where they are sent as Host", async () => {
    const { endpoints, answers, write, timers } = resolverRig();
    await write("10.0.0.1 x y");
    const records = [
      { target: "x", port: 81, weight: 1 },
      { target: "y", port: 81, weight: 1 },
    ];
    answers["_http._tcp.s"] = { type: "services", records, ttlMs: 60_000 };
    for (const [usesSrvName, hosts] of [
      [true, ["x", "y"]],
      [false, ["_http._tcp.s"]],
    ] as const) {
      const pools = [{ ...pool("p", { ...member("_http._tcp.s", 80), impliedPort: 81 }), usesSrvName }];
      const prepared = endpoints.prepare(pools);
      await timers.pass(0);
      await prepared;
      expect(endpoints.use(pools)!.sets[0]!.endpoints.map(({ hostHeader }) => hostHeader)).toEqual(hosts);
    }
  });

  it("sends a pool again when a target of its SRV records moves", async () => {
    const { endpoints, answers, write, timers, sent } = resolverRig();
    await write("10.0.0.1 x");
    answers["_http._tcp.s"] = { type: "services", records: [{ target: "x", port: 81, weight: 1 }], ttlMs: 60_000 };
    const pools = [pool("p", member("_http._tcp.s"))];
    const prepared = endpoints.prepare(pools);
    await timers.pass(20);
    await prepared;
    endpoints.use(pools);
    sent.length = 0;
    await write("10.0.0.2 x");
    expect(sent.map((sets) => addresses(sets[0]))).toEqual([["10.0.0.2:81"]]);
  });
});
