import { parentPort, workerData } from "node:worker_threads";
import { createPicker, type PickQuestion } from "../../data-plane/balance/picker.ts";
import type { EndpointSet, PoolConfig } from "../../data-plane/config/worker-config.ts";
import { EndpointTable } from "../../data-plane/upstream/endpoint-table.ts";

/** A thread that picks from one pool, and ejects, when told to: what a traffic worker does with the table. */
export interface PickingThreadData {
  readonly endpointTable: SharedArrayBuffer;
  readonly pool: PoolConfig;
  readonly set: EndpointSet;
}

/** "pick" answers with the rows picked, "eject" with whether this thread took each endpoint out. */
export type ToPickingThread = { readonly type: "pick"; readonly count: number } | { readonly type: "eject" };

const { endpointTable, pool, set } = workerData as PickingThreadData;
const table = EndpointTable.attach(endpointTable);
const picker = createPicker(pool, set, table);
const question: PickQuestion = { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };

parentPort!.on("message", (message: ToPickingThread) => {
  if (message.type === "pick") {
    parentPort!.postMessage(Array.from({ length: message.count }, () => picker.pick(question)!.row));
  } else {
    parentPort!.postMessage(set.endpoints.map(({ row }) => table.eject(pool.poolRow, row)));
  }
});
