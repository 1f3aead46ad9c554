import { readdirSync, readFileSync } from "node:fs";

/** CPU time in milliseconds of a process: of the thread with a name, and of all its other threads. Linux only. */
export interface ThreadCpu {
  readonly namedMs: number;
  readonly othersMs: number;
}

/** Errors: throws when the process has no thread of that name. */
export function threadCpu(pid: number, name: string): ThreadCpu {
  const folder = `/proc/${pid}/task`;
  const sums = { namedMs: 0, othersMs: 0 };
  let isFound = false;
  for (const thread of readdirSync(folder)) {
    const isNamed = readFileSync(`${folder}/${thread}/comm`, "utf8").trim() === name;
    // Nanoseconds on a core, then waiting for one, then turns.
    const ms = Number(readFileSync(`${folder}/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6;
    sums[isNamed ? "namedMs" : "othersMs"] += ms;
    isFound ||= isNamed;
  }
  if (!isFound) throw new Error(`process ${pid} has no thread called '${name}'`);
  return sums;
}
