import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished } from "vitest";
import { type AdmittingThreadsOptions, openAdmittingThreads } from "../../test/support/admitting-threads.ts";
import { EndpointTable } from "./endpoint-table.ts";

/** A table with one pool and one endpoint, as several threads see it. */
function columns(count: number) {
  const table = EndpointTable.create({ poolRowsMax: 2, endpointRowsMax: 2, columnsMax: count });
  const poolRow = table.allocatePoolRow()!;
  const row = table.allocateEndpointRow()!;
  const of = Array.from({ length: count }, (_, column) => EndpointTable.attach(table.buffer, column).admissions);
  return { table, poolRow, row, of };
}

async function startAdmittingThreads(options: AdmittingThreadsOptions) {
  const opened = await openAdmittingThreads(options);
  onTestFinished(opened.close);
  return opened;
}

describe("AdmissionTable", () => {
  it("admits up to the limit, over all threads, and again what was given back", () => {
    const { poolRow, row, of } = columns(2);
    const [a, b] = [of[0]!, of[1]!];
    expect([a.admitToPool(poolRow, 2), b.admitToPool(poolRow, 2), a.admitToPool(poolRow, 2)]).toEqual([
      true,
      true,
      false,
    ]);
    b.leavePool(poolRow);
    expect([a.admitToPool(poolRow, 2), a.admittedToPool(poolRow)]).toEqual([true, 2]);
    expect([a.admitToEndpoint(row, 1), b.admitToEndpoint(row, 1), b.admittedToEndpoint(row)]).toEqual([true, false, 1]);
  });

  it("admits nobody while more are in than a lower limit allows, and at once when it is raised", () => {
    const { poolRow, of } = columns(1);
    const [a] = of;
    for (let i = 0; i < 3; i++) a!.admitToPool(poolRow, 3);
    a!.leavePool(poolRow);
    expect([a!.admitToPool(poolRow, 2), a!.admitToPool(poolRow, 3)]).toEqual([false, true]);
  });

  it("lets only so many wait, and knows whose turn it is over all threads", () => {
    const { poolRow, of } = columns(2);
    const [a, b] = [of[0]!, of[1]!];
    const first = b.beginToWait(poolRow, 2);
    const second = a.beginToWait(poolRow, 2);
    expect([first, second, a.beginToWait(poolRow, 2), a.waitingCount(poolRow)]).toEqual([1, 2, 0, 2]);
    a.publishOldest(poolRow, second);
    b.publishOldest(poolRow, first);
    expect(a.oldestTicket(poolRow)).toBe(first);
    b.publishOldest(poolRow, 0);
    b.endWaiting(poolRow);
    expect([a.oldestTicket(poolRow), a.waitingCount(poolRow)]).toEqual([second, 1]);
  });

  it("gives back what a thread that is gone held, once, and nothing else", () => {
    const { table, poolRow, row, of } = columns(3);
    for (const each of of) {
      each.admitToPool(poolRow, 9);
      each.admitToPool(poolRow, 9);
      each.admitToEndpoint(row, 9);
      each.publishOldest(poolRow, each.beginToWait(poolRow, 9));
    }
    const read = () => [of[0]!.admittedToPool(poolRow), of[0]!.admittedToEndpoint(row), of[0]!.waitingCount(poolRow)];
    expect(read()).toEqual([6, 3, 3]);
    table.clearColumn(0);
    expect([...read(), of[1]!.oldestTicket(poolRow)]).toEqual([4, 2, 2, 2]);
    table.clearColumn(0);
    expect(read()).toEqual([4, 2, 2]);
    of[1]!.leavePool(poolRow);
    of[1]!.leaveEndpoint(row);
    expect(read()).toEqual([3, 1, 2]);
  });

  it("keeps a row busy until the last one has left", () => {
    const { table, poolRow, row, of } = columns(2);
    of[1]!.admitToPool(poolRow, 1);
    of[1]!.admitToEndpoint(row, 1);
    expect([table.isBusy(row), table.isPoolBusy(poolRow)]).toEqual([true, true]);
    of[1]!.leavePool(poolRow);
    of[1]!.leaveEndpoint(row);
    of[0]!.beginToWait(poolRow, 1);
    expect([table.isBusy(row), table.isPoolBusy(poolRow)]).toEqual([false, true]);
  });

  it("wakes a thread that waits, or that was about to", async () => {
    const { poolRow, of } = columns(2);
    const [a, b] = [of[0]!, of[1]!];
    b.publishOldest(poolRow, b.beginToWait(poolRow, 1));
    const ticket = a.oldestTicket(poolRow);
    const before = b.wakeCount();
    const woken = b.wokenSince(before);
    expect([a.wakeHolder(poolRow, ticket), b.wakeHolder(poolRow, ticket)]).toEqual([true, false]);
    await woken;
    await b.wokenSince(before);
    expect(b.wakeCount()).toBe(before + 1);
  });
});

describe("admissions of four threads at once", () => {
  it("are never more than the limits, which are reached", async () => {
    const { run, most } = await startAdmittingThreads({ poolMax: 7, endpointMax: 5, threadCount: 4 });
    const { admitted, exceeded, refused } = await run(50_000);
    expect([admitted, exceeded]).toEqual([200_000, 0]);
    expect(refused).toBeGreaterThan(0);
    expect(most().endpoint).toBeLessThanOrEqual(5);
    expect(most().pool).toBeLessThanOrEqual(7);
  });

  it("are given back when a thread is killed in the midst of them, again and again", async () => {
    const { threads, table, run, poolRow, row, restart, holds } = await startAdmittingThreads({
      poolMax: 16,
      endpointMax: 9,
      threadCount: 3,
    });
    for (let round = 0; round < 5; round++) {
      const others = run(20_000, [0, 1]);
      void run(1_000_000_000, [2]).catch(() => {});
      await holds(2);
      await threads[2]!.terminate();
      table.clearColumn(2);
      await others;
      expect([table.admissions.admittedToPool(poolRow), table.admissions.admittedToEndpoint(row)]).toEqual([0, 0]);
      await restart(2);
    }
  });

  it("hear of a thread that is gone when they wait for a turn", async () => {
    const { threads, table, ask, poolRow } = await startAdmittingThreads({
      poolMax: 4,
      endpointMax: 4,
      threadCount: 2,
    });
    await ask(threads[0]!, { type: "hold", count: 3 });
    await ask(threads[1]!, { type: "await-wake" });
    const woken = once(threads[1]!, "message");
    await threads[0]!.terminate();
    table.clearColumn(0);
    expect(await woken).toEqual(["woken"]);
    expect([table.admissions.admittedToPool(poolRow), table.admissions.waitingCount(poolRow)]).toEqual([0, 0]);
  });

  it("keep no process alive while they wait", async () => {
    const { buffer } = EndpointTable.create({ poolRowsMax: 1, endpointRowsMax: 1, columnsMax: 1 });
    const url = new URL("./endpoint-table.ts", import.meta.url);
    const code = `import { workerData } from "node:worker_threads";
      const { EndpointTable } = await import(${JSON.stringify(url.href)});
      void EndpointTable.attach(workerData).admissions.wokenSince(0);`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), { workerData: buffer });
    onTestFinished(() => void worker.terminate());
    expect(await once(worker, "exit")).toEqual([0]);
  });
});
