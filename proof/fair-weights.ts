/**
 * Four threads pick by weighted round-robin from five endpoints, of which one is ejected and returns again and again.
 *
 * A turn of the others is as many of their picks, one after the other, as their weights add up to. In every turn, wherever
 * it begins and however often the fifth goes and returns in it, each of them has as many picks as its weight is, or one
 * more or less.
 *
 * What part of all picks each has is another question: while the fifth goes and returns it cannot be kept that closely
 * (docs/decisions/0004-balancing-by-measurement.md). That is measured beside it, in as many picks as the wheel of those
 * that are in has places.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { testEndpoint, testPool, testSet } from "../data-plane/config/worker-config.test-entities.ts";
import { EndpointTable } from "../data-plane/upstream/endpoint-table.ts";
import type { PickingThreadData } from "../test/support/picking-thread.ts";
import { PickWord } from "../test/support/turning-thread-picks.ts";
import type { Figure } from "./prove.ts";

const threadCount = 4;
const batchCount = 30;
const perBatch = 10_000;
/** The last one comes and goes. */
const weights = [5, 3, 2, 1, 4];
const flapping = weights.length - 1;

/** Picks off its part of all that an endpoint may be, in so many of them as a wheel has places. */
const partOffMax = 2;

/** All picks of all threads, in the order of their turns; two arrays of the same length. */
interface Picks {
  readonly rows: Int8Array;
  /** Whether the one that comes and goes was in, as the picking thread knew it. */
  readonly wasIn: Uint8Array;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const table = EndpointTable.create({ poolRowsMax: 1, endpointRowsMax: weights.length });
  const poolRow = table.allocatePoolRow()!;
  const rows = weights.map(() => table.allocateEndpointRow()!);
  const workerData: PickingThreadData = {
    endpointTable: table.buffer,
    pool: testPool({ poolRow }),
    set: testSet(rows.map((row, i) => testEndpoint({ row, weight: weights[i]! }))),
  };
  const url = new URL("../test/support/turning-thread.ts", import.meta.url);
  const threads = Array.from({ length: threadCount }, () => new Worker(url, { workerData }));
  try {
    await Promise.all(threads.map((thread) => once(thread, "online")));
    let isOver = false;
    let changes = 0;
    const changing = (async () => {
      for (; !isOver; changes++) {
        if (changes % 2 === 0) table.eject(poolRow, rows[flapping]!);
        else table.readmit(poolRow, rows[flapping]!);
        await sleep(1);
      }
    })();
    const batches = await Promise.all(threads.map(takeBatches));
    isOver = true;
    await changing;
    const picks = inOrder(batches.flat());
    progress(`${picks.rows.length} picks, ${changes} changes`);
    return [
      { name: "picks over 4 threads", value: picks.rows.length, unit: "picks", atMost: null },
      { name: "times that an endpoint was ejected or returned", value: changes, unit: "times", atMost: null },
      ratioOfTheOthers(picks),
      ...deviations(picks),
    ];
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

async function takeBatches(thread: Worker): Promise<Int32Array[]> {
  const batches: Int32Array[] = [];
  for (let batch = 0; batch < batchCount; batch++) {
    thread.postMessage(perBatch);
    const [picks] = (await once(thread, "message")) as [Int32Array];
    batches.push(picks);
  }
  return batches;
}

function inOrder(batches: readonly Int32Array[]): Picks {
  const places = batches.flatMap((picks) =>
    Array.from({ length: picks.length / PickWord.count }, (_, i) => ({ picks, at: i * PickWord.count })),
  );
  const turnOf = ({ picks, at }: (typeof places)[number]) => picks[at + PickWord.turn]!;
  places.sort((a, b) => turnOf(a) - turnOf(b));
  for (let i = 1; i < places.length; i++)
    if (turnOf(places[i]!) === turnOf(places[i - 1]!)) throw new Error(`turn ${turnOf(places[i]!)} was taken twice`);
  return {
    rows: Int8Array.from(places, ({ picks, at }) => picks[at + PickWord.row]!),
    wasIn: Uint8Array.from(places, ({ picks, at }) => 1 - picks[at + PickWord.wasOut]!),
  };
}

/** By how many picks one of the others was off its weight in a turn of theirs, at worst. */
function ratioOfTheOthers({ rows }: Picks): Figure {
  const theirs = rows.filter((row) => row !== flapping);
  const turn = weights.slice(0, flapping).reduce((sum, weight) => sum + weight, 0);
  const counts = weights.slice(0, flapping).map(() => 0);
  let worst = 0;
  for (let i = 0; i < theirs.length; i++) {
    counts[theirs[i]!]!++;
    if (i >= turn) counts[theirs[i - turn]!]!--;
    if (i < turn - 1) continue;
    for (let endpoint = 0; endpoint < flapping; endpoint++)
      worst = Math.max(worst, Math.abs(counts[endpoint]! - weights[endpoint]!));
  }
  return {
    name: "picks off the ratio of the others in a turn of theirs, at worst",
    value: worst,
    unit: "picks",
    atMost: 1,
  };
}

/**
 * By how much an endpoint's picks in as many turns as a wheel has differ from its share, at worst: where nothing changed
 * within them, and anywhere.
 */
function deviations({ rows, wasIn }: Picks): Figure[] {
  const sumIn = weights.reduce((sum, weight) => sum + weight, 0);
  const sumOut = sumIn - weights[flapping]!;
  let steady = 0;
  let anywhere = 0;
  let atEnd = 0;
  for (let endpoint = 0; endpoint < flapping; endpoint++) {
    const weight = weights[endpoint]!;
    // At `i`: its picks, and its share, of all before.
    const picked = new Int32Array(rows.length + 1);
    const due = new Float64Array(rows.length + 1);
    const changed = new Int32Array(rows.length + 1);
    for (let i = 0; i < rows.length; i++) {
      picked[i + 1] = picked[i]! + (rows[i] === endpoint ? 1 : 0);
      due[i + 1] = due[i]! + weight / (wasIn[i] === 1 ? sumIn : sumOut);
      changed[i + 1] = changed[i]! + (i > 0 && wasIn[i] !== wasIn[i - 1] ? 1 : 0);
    }
    const changeCount = Math.max(changed[rows.length]!, 1);
    atEnd = Math.max(atEnd, Math.abs(picked[rows.length]! - due[rows.length]!) / changeCount);
    for (let from = 0; from < rows.length; from++) {
      const to = from + (wasIn[from] === 1 ? sumIn : sumOut);
      if (to > rows.length) break;
      const deviation = Math.abs(picked[to]! - picked[from]! - (due[to]! - due[from]!));
      anywhere = Math.max(anywhere, deviation);
      if (changed[to] === changed[from + 1]) steady = Math.max(steady, deviation);
    }
  }
  const rounded = (value: number) => Math.round(value * 1_000) / 1_000;
  return [
    {
      name: "picks off the part of all in as many as the wheel has places, at worst, while nothing changes",
      value: rounded(steady),
      unit: "picks",
      atMost: 1,
    },
    {
      name: "picks off the part of all in as many as the wheel has places, at worst, also where an endpoint goes or returns",
      value: rounded(anywhere),
      unit: "picks",
      atMost: partOffMax,
    },
    {
      name: "picks per change off the part of all, at the end of all",
      value: rounded(atEnd),
      unit: "picks",
      atMost: 1,
    },
  ];
}
