import { parentPort, workerData } from "node:worker_threads";
import { EndpointTable } from "../../data-plane/upstream/endpoint-table.ts";

/** A thread that admits and gives back as fast as it can: what a traffic worker does where there are limits. */
export interface AdmittingThreadData {
  readonly endpointTable: SharedArrayBuffer;
  readonly column: number;
  readonly poolRow: number;
  readonly poolMax: number;
  readonly row: number;
  readonly endpointMax: number;
  /** Counts beside the table what is inside: [pool, endpoint, most in the pool, most at the endpoint]. */
  readonly inside: SharedArrayBuffer;
}

/** "admit" answers with what came of it; "hold" keeps so many admissions and a place in the queue, and answers "held". */
export type ToAdmittingThread =
  | { readonly type: "admit"; readonly count: number }
  | { readonly type: "hold"; readonly count: number }
  | { readonly type: "await-wake" };

export interface Admitted {
  readonly admitted: number;
  readonly refused: number;
  /** How often more were inside than may be. */
  readonly exceeded: number;
}

const { endpointTable, column, poolRow, poolMax, row, endpointMax, inside } = workerData as AdmittingThreadData;
const { admissions } = EndpointTable.attach(endpointTable, column);
const seen = new Int32Array(inside);

/** @returns whether there are too many now */
function enters(at: number, max: number): boolean {
  const now = Atomics.add(seen, at, 1) + 1;
  for (;;) {
    const most = Atomics.load(seen, at + 2);
    if (now <= most || Atomics.compareExchange(seen, at + 2, most, now) === most) return now > max;
  }
}

/** Until so many were admitted, with up to eight of them inside at once, in the way in which requests overlap. */
function admit(count: number): Admitted {
  let admitted = 0;
  let refused = 0;
  let exceeded = 0;
  let held = 0;
  const leave = () => {
    Atomics.sub(seen, 1, 1);
    admissions.leaveEndpoint(row);
    Atomics.sub(seen, 0, 1);
    admissions.leavePool(poolRow);
    held--;
  };
  while (admitted < count) {
    if (!admissions.admitToPool(poolRow, poolMax)) {
      refused++;
      if (held > 0) leave();
      continue;
    }
    if (enters(0, poolMax)) exceeded++;
    if (!admissions.admitToEndpoint(row, endpointMax)) {
      refused++;
      Atomics.sub(seen, 0, 1);
      admissions.leavePool(poolRow);
      if (held > 0) leave();
      continue;
    }
    if (enters(1, endpointMax)) exceeded++;
    admitted++;
    if (++held === 8) leave();
  }
  while (held > 0) leave();
  return { admitted, refused, exceeded };
}

parentPort!.on("message", (message: ToAdmittingThread) => {
  if (message.type === "admit") parentPort!.postMessage(admit(message.count));
  else if (message.type === "hold") {
    for (let i = 0; i < message.count; i++) {
      admissions.admitToPool(poolRow, poolMax);
      admissions.admitToEndpoint(row, endpointMax);
    }
    admissions.publishOldest(poolRow, admissions.beginToWait(poolRow, 10));
    parentPort!.postMessage("held");
  } else {
    const woken = admissions.wokenSince(admissions.wakeCount());
    parentPort!.postMessage("armed");
    void woken.then(() => parentPort!.postMessage("woken"));
  }
});
