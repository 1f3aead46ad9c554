import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import type { PickingThreadData, ToPickingThread } from "../../test/support/picking-thread.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import { EndpointTable } from "./endpoint-table.ts";

const workers: Worker[] = [];

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

describe("EndpointTable", () => {
  it("gives out every row once, then null, then the freed ones", () => {
    const table = EndpointTable.create({ endpointRowsMax: 3, poolRowsMax: 1 });
    expect([0, 1, 2, 3].map(() => table.allocateEndpointRow())).toEqual([0, 1, 2, null]);
    expect([table.allocatePoolRow(), table.allocatePoolRow()]).toEqual([0, null]);
    table.freeEndpointRow(1);
    expect([table.allocateEndpointRow(), table.allocateEndpointRow()]).toEqual([1, null]);
    table.freePoolRow(0);
    expect(table.allocatePoolRow()).toBe(0);
  });

  it("refuses to free a row that is not taken", () => {
    const table = EndpointTable.create();
    expect(() => table.freeEndpointRow(5)).toThrow("endpoint row 5 is not taken");
    expect(() => table.freePoolRow(-1)).toThrow("pool row -1 is not taken");
  });

  it("leaves rows to the thread that created it", () => {
    const attached = EndpointTable.attach(EndpointTable.create().buffer);
    expect(() => attached.allocatePoolRow()).toThrow("created the table");
  });

  it("refuses a buffer that holds something else", () => {
    expect(() => EndpointTable.attach(new SharedArrayBuffer(1024))).toThrow("not an endpoint table");
  });

  it("ejects and readmits once each, and counts both as changes of the pool", () => {
    const table = EndpointTable.create();
    const poolRow = table.allocatePoolRow()!;
    const row = table.allocateEndpointRow()!;
    const before = table.generation(poolRow);
    expect([table.eject(poolRow, row), table.eject(poolRow, row), table.isOut(row)]).toEqual([true, false, true]);
    expect(table.generation(poolRow)).toBe(before + 1);
    expect([table.readmit(poolRow, row), table.readmit(poolRow, row), table.isOut(row)]).toEqual([true, false, false]);
    expect(table.generation(poolRow)).toBe(before + 2);
  });

  it("keeps the rows apart, to the last one", () => {
    const table = EndpointTable.create({ endpointRowsMax: 4, poolRowsMax: 4 });
    const poolRows = [0, 1, 2, 3].map(() => table.allocatePoolRow()!);
    const rows = [0, 1, 2, 3].map(() => table.allocateEndpointRow()!);
    table.eject(poolRows[3]!, rows[3]!);
    table.advanceCursor(poolRows[2]!);
    expect(rows.map((row) => table.isOut(row))).toEqual([false, false, false, true]);
    expect(poolRows.map((row) => table.generation(row))).toEqual([0, 0, 0, 1]);
    expect(poolRows.map((row) => table.advanceCursor(row))).toEqual([0, 0, 1, 0]);
  });

  it("starts a row anew when it is used again", () => {
    const table = EndpointTable.create();
    const poolRow = table.allocatePoolRow()!;
    const row = table.allocateEndpointRow()!;
    table.advanceCursor(poolRow);
    table.eject(poolRow, row);
    const generation = table.generation(poolRow);
    table.freeEndpointRow(row);
    table.freePoolRow(poolRow);
    expect(table.isOut(table.allocateEndpointRow()!)).toBe(false);
    expect(table.advanceCursor(table.allocatePoolRow()!)).toBe(0);
    expect(table.generation(poolRow)).not.toBe(generation);
  });

  it("counts the cursor over 2^31 without turning negative", () => {
    const table = EndpointTable.create({ poolRowsMax: 1 });
    const words = new Int32Array(table.buffer);
    words.fill(0x7fffffff, 16, 17);
    expect([table.advanceCursor(0), table.advanceCursor(0)]).toEqual([0x7fffffff, 0x80000000]);
    const skips = Uint16Array.of(0, 0, 1);
    expect(0x80000001 % 3).toBe(0);
    expect([1, 2, 3].map(() => table.advanceCursorPast(0, skips))).toEqual([0x80000001, 0x80000002, 0x80000004]);
    expect(table.cursor(0)).toBe(0x80000005);
  });

  it("keeps weights exact over two threads that pick at the same time", async () => {
    const { threads, pickTogether } = await startPickers([3, 2, 1]);
    expect(await pickTogether(60_000)).toEqual({ 0: 60_000, 1: 40_000, 2: 20_000 });
    expect(threads).toHaveLength(2);
  });

  it("keeps them exact over both threads with an endpoint out, and with it back", async () => {
    const { table, poolRow, rows, pickTogether } = await startPickers([3, 2, 1]);
    expect(table.eject(poolRow, rows[1]!)).toBe(true);
    expect(await pickTogether(40_000)).toEqual({ 0: 60_000, 2: 20_000 });
    expect(table.readmit(poolRow, rows[1]!)).toBe(true);
    expect(await pickTogether(60_000)).toEqual({ 0: 60_000, 1: 40_000, 2: 20_000 });
  });

  it("alternates between two equal endpoints when threads take turns", async () => {
    const { threads, pick } = await startPickers([1, 1]);
    const picked: number[] = [];
    for (let turn = 0; turn < 20; turn++) picked.push(...(await pick(threads[turn % 2 === 0 ? 0 : 1]!, 1)));
    expect(picked).toEqual(Array.from({ length: 20 }, (_, turn) => turn % 2));
  });

  it("lets one of two threads that eject an endpoint at once be the one that did it", async () => {
    const { table, poolRow, rows, threads, eject } = await startPickers(Array<number>(500).fill(1));
    const [first, second] = await Promise.all(threads.map(eject));
    for (const [i] of rows.entries()) expect(Number(first![i]) + Number(second![i])).toBe(1);
    expect(rows.every((row) => table.isOut(row))).toBe(true);
    expect(table.generation(poolRow)).toBe(rows.length);
  });
});

describe("in-flight cells of an EndpointTable", () => {
  it("sum what every worker has under way, and lose only what a worker that died had", () => {
    const table = EndpointTable.create({ poolRowsMax: 1, endpointRowsMax: 40, columnsMax: 3 });
    const rows = Array.from({ length: 40 }, () => table.allocateEndpointRow()!);
    const workers = [0, 1, 2].map((column) => EndpointTable.attach(table.buffer, column));
    for (const row of rows)
      for (const [i, worker] of workers.entries()) for (let n = 0; n <= i; n++) worker.attemptBegins(0, row);
    expect(rows.map((row) => table.inFlight(row))).toEqual(rows.map(() => 1 + 2 + 3));
    workers[0]!.attemptEnds(0, rows[0]!);
    expect([table.inFlight(rows[0]!), workers[2]!.inFlight(rows[0]!)]).toEqual([5, 5]);
    expect(table.inFlightTotal()).toBe(40 * 6 - 1);
    table.clearColumn(2);
    expect(table.inFlightTotal()).toBe(40 * 3 - 1);
    expect(rows.every((row) => !table.isOut(row))).toBe(true);
  });

  it("are a column per worker and no more", () => {
    const table = EndpointTable.create({ poolRowsMax: 1, endpointRowsMax: 1, columnsMax: 2 });
    expect(() => EndpointTable.attach(table.buffer, 2)).toThrow(/column 2 of 2/);
  });
});

/** Two threads with a picker each over one pool of the table, as the traffic workers have. */
async function startPickers(weights: readonly number[]) {
  const table = EndpointTable.create({ poolRowsMax: 4, endpointRowsMax: 1_000 });
  const poolRow = table.allocatePoolRow()!;
  const rows = weights.map(() => table.allocateEndpointRow()!);
  const workerData: PickingThreadData = {
    endpointTable: table.buffer,
    pool: testPool({ poolRow }),
    set: testSet(rows.map((row, i) => testEndpoint({ row, weight: weights[i]! }))),
  };
  const start = () => new Worker(new URL("../../test/support/picking-thread.ts", import.meta.url), { workerData });
  const threads = [start(), start()];
  workers.push(...threads);
  await Promise.all(threads.map((thread) => once(thread, "online")));
  const ask = async (thread: Worker, message: ToPickingThread) => {
    thread.postMessage(message);
    const [answer] = await once(thread, "message");
    return answer;
  };
  const pick = (thread: Worker, count: number): Promise<number[]> => ask(thread, { type: "pick", count });
  return {
    table,
    poolRow,
    rows,
    threads,
    pick,
    eject: (thread: Worker): Promise<boolean[]> => ask(thread, { type: "eject" }),
    /** Visits by row of `count` picks in each thread, both at once. */
    pickTogether: async (count: number) => {
      const picked = await Promise.all(threads.map((thread) => pick(thread, count)));
      const visits: Record<number, number> = {};
      for (const row of picked.flat()) visits[row] = (visits[row] ?? 0) + 1;
      return visits;
    },
  };
}
