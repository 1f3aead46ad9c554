import { parentPort, workerData } from "node:worker_threads";
import type { EndpointState } from "../../data-plane/balance/endpoint-state.ts";
import { createPicker, type PickQuestion } from "../../data-plane/balance/picker.ts";
import { EndpointTable } from "../../data-plane/upstream/endpoint-table.ts";
import type { PickingThreadData } from "./picking-thread.ts";
import { PickWord } from "./turning-thread-picks.ts";

const { endpointTable, pool, set } = workerData as PickingThreadData;
const table = EndpointTable.attach(endpointTable);
let turn = 0;
let wasOut = false;
/** The picker may look several times while it makes its wheel; the first time decides who is on it. */
let looks = 0;
const lastRow = set.endpoints.at(-1)!.row;

/** The table, which also says which turn a pick took, and whether the last endpoint was out when the picker looked. */
const told = new Proxy(table, {
  get(target, name) {
    if (name === "advanceCursor") return (poolRow: number) => (turn = target.advanceCursor(poolRow));
    if (name === "advanceCursorPast") return advanceCursorPast;
    if (name === "isOut") return isOut;
    const value: unknown = Reflect.get(target, name, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
}) as EndpointState;

function advanceCursorPast(poolRow: number, skips: Uint16Array): number {
  turn = table.advanceCursorPast(poolRow, skips);
  return turn;
}

function isOut(row: number): boolean {
  const isOutNow = table.isOut(row);
  if (row === lastRow && looks++ === 0) wasOut = isOutNow;
  return isOutNow;
}

const picker = createPicker(pool, set, told);
const question: PickQuestion = { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };

/** A number is answered with so many picks. */
parentPort!.on("message", (count: number) => {
  const picks = new Int32Array(count * PickWord.count);
  for (let at = 0; at < picks.length; at += PickWord.count) {
    looks = 0;
    const { row } = picker.pick(question)!;
    picks[at + PickWord.turn] = turn;
    picks[at + PickWord.wasOut] = wasOut ? 1 : 0;
    picks[at + PickWord.row] = row;
  }
  parentPort!.postMessage(picks, [picks.buffer]);
});
