import { describe, expect, it } from "vitest";
import { NodeLoad } from "./node-load.ts";

describe("NodeLoad", () => {
  it("sums the connections of all threads, and of one address", () => {
    const main = NodeLoad.create(3);
    const workers = [0, 1, 2].map((column) => NodeLoad.attach(main.buffer, column));
    for (const worker of workers) for (let i = 0; i < 5; i++) worker.opened("192.0.2.1");
    workers[1]!.opened("192.0.2.2");
    workers[2]!.closed("192.0.2.1");
    expect(main.connectionCount).toBe(15);
    expect(workers.map((worker) => worker.addressCount("192.0.2.1"))).toEqual([14, 14, 14]);
    expect(main.addressCount("192.0.2.2")).toBe(1);
  });

  it("never counts an address too low, and hardly ever too high", () => {
    const load = NodeLoad.create(1);
    const addresses = Array.from({ length: 1_000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    for (const address of addresses) load.opened(address);
    const counts = addresses.map((address) => load.addressCount(address));
    expect(Math.min(...counts)).toBe(1);
    expect(counts.filter((count) => count > 1).length).toBeLessThan(150);
    expect(Math.max(...counts)).toBeLessThan(5);
    for (const address of addresses) load.closed(address);
    expect(addresses.map((address) => load.addressCount(address))).toEqual(addresses.map(() => 0));
  });

  it("forgets a thread that is gone with all that it had", () => {
    const main = NodeLoad.create(2);
    const [first, second] = [NodeLoad.attach(main.buffer, 0), NodeLoad.attach(main.buffer, 1)];
    first.opened("a");
    second.opened("a");
    main.clearColumn(0);
    expect([main.connectionCount, main.addressCount("a")]).toEqual([1, 1]);
  });

  it("shows every thread whether descriptors have run out, and how many connections they are enough for", () => {
    const main = NodeLoad.create(2);
    const worker = NodeLoad.attach(main.buffer, 1);
    expect([worker.isOutOfDescriptors, worker.connectionMaxCount]).toEqual([false, Number.POSITIVE_INFINITY]);
    main.isOutOfDescriptors = true;
    main.connectionMaxCount = 24;
    expect([worker.isOutOfDescriptors, worker.connectionMaxCount]).toEqual([true, 24]);
    main.isOutOfDescriptors = false;
    main.connectionMaxCount = Number.POSITIVE_INFINITY;
    expect([worker.isOutOfDescriptors, worker.connectionMaxCount]).toEqual([false, Number.POSITIVE_INFINITY]);
  });

  it("says how many connections are more than nine tenths of what descriptors are enough for", () => {
    const main = NodeLoad.create(2);
    const worker = NodeLoad.attach(main.buffer, 1);
    for (let i = 0; i < 10; i++) worker.opened("a");
    worker.ownUpstreamConnectionCount = 11;
    expect(worker.surplusCount).toBe(Number.NEGATIVE_INFINITY);
    main.connectionMaxCount = 10;
    expect([main.surplusCount, worker.surplusCount]).toEqual([3, 3]);
    worker.ownUpstreamConnectionCount = 7;
    main.ownUpstreamConnectionCount = 1;
    expect(worker.surplusCount).toBe(0);
    main.clearColumn(1);
    expect(main.surplusCount).toBe(-17);
  });

  it("shows every thread the share that is refused for want of memory", () => {
    const main = NodeLoad.create(2);
    main.memoryRatio = 0.125;
    expect(NodeLoad.attach(main.buffer, 1).memoryRatio).toBe(0.125);
  });
});
