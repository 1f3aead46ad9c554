import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { EndpointTable } from "../../data-plane/upstream/endpoint-table.ts";
import { TableLayout } from "../../data-plane/upstream/table-layout.ts";
import type { Admitted, AdmittingThreadData, ToAdmittingThread } from "./admitting-thread.ts";

export interface AdmittingThreadsOptions {
  readonly poolMax: number;
  readonly endpointMax: number;
  readonly threadCount: number;
}

/** Threads that admit to one pool and one endpoint of it, which is how the workers of a node meet at a limit. */
export async function openAdmittingThreads({ poolMax, endpointMax, threadCount }: AdmittingThreadsOptions) {
  const table = EndpointTable.create({ poolRowsMax: 1, endpointRowsMax: 1, columnsMax: threadCount });
  const poolRow = table.allocatePoolRow()!;
  const row = table.allocateEndpointRow()!;
  const inside = new SharedArrayBuffer(16);
  const seen = new Int32Array(inside);
  const start = async (column: number): Promise<Worker> => {
    const workerData: AdmittingThreadData = {
      ...{ endpointTable: table.buffer, column, poolRow, poolMax, row, endpointMax, inside },
    };
    const worker = new Worker(new URL("./admitting-thread.ts", import.meta.url), { workerData });
    await once(worker, "online");
    return worker;
  };
  const threads = await Promise.all(Array.from({ length: threadCount }, (_, column) => start(column)));
  const ask = async (thread: Worker, message: ToAdmittingThread) => {
    thread.postMessage(message);
    const [answer] = await once(thread, "message");
    return answer;
  };
  return {
    table,
    poolRow,
    row,
    threads,
    ask,
    /** The most that were ever inside at once. */
    most: () => ({ pool: seen[2]!, endpoint: seen[3]! }),
    /** So many admissions in each thread (default: of all), at once. */
    async run(count: number, columns = threads.map((_, column) => column)): Promise<Admitted> {
      const answers: Admitted[] = await Promise.all(
        columns.map((column) => ask(threads[column]!, { type: "admit", count })),
      );
      const sum = (key: keyof Admitted) => answers.reduce((total, answer) => total + answer[key], 0);
      return { admitted: sum("admitted"), refused: sum("refused"), exceeded: sum("exceeded") };
    },
    /** Resolves when the thread has something admitted. */
    async holds(column: number): Promise<void> {
      const words = new Int32Array(table.buffer);
      const cell = TableLayout.of(words).column(column).poolInFlight + poolRow;
      while (Atomics.load(words, cell) === 0) await nextTurn();
    },
    /** Another thread in the place of one that is gone. What that one had counted as inside, it took with it. */
    async restart(column: number): Promise<void> {
      seen.fill(0);
      threads[column] = await start(column);
    },
    async close(): Promise<void> {
      await Promise.all(threads.map((thread) => thread.terminate()));
    },
  };
}
