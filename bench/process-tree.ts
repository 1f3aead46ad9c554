import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks per second of the times in /proc, once it was asked for. */
let ticksPerSecond = 0;

/** The process and all that descend from it. */
function processTree(rootPid: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = statOf(pid);
    if (stat === null) continue;
    const siblings = childrenOf.get(stat.parentPid) ?? [];
    siblings.push(pid);
    childrenOf.set(stat.parentPid, siblings);
  }
  const tree = [rootPid];
  for (let i = 0; i < tree.length; i++) tree.push(...(childrenOf.get(tree[i]!) ?? []));
  return tree;
}

/** CPU time that the process and its descendants have used so far, all threads, user and kernel; milliseconds. */
export function cpuTimeMs(rootPid: number): number {
  if (ticksPerSecond === 0) ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  const ticks = processTree(rootPid).reduce((sum, pid) => sum + (statOf(pid)?.cpuTicks ?? 0), 0);
  return (ticks / ticksPerSecond) * 1000;
}

/** Resident memory of the process and its descendants, MB; shared pages count in each. */
export function residentMb(rootPid: number): number {
  return sumMb(rootPid, "status", /^VmRSS:\s+(\d+)/m);
}

/** The same with shared pages divided among those who share them. */
export function proportionalMb(rootPid: number): number {
  return sumMb(rootPid, "smaps_rollup", /^Pss:\s+(\d+)/m);
}

function sumMb(rootPid: number, file: string, kilobytes: RegExp): number {
  let kb = 0;
  for (const pid of processTree(rootPid)) {
    kb += Number(kilobytes.exec(readOrNull(`/proc/${pid}/${file}`) ?? "")?.[1] ?? 0);
  }
  return kb / 1024;
}

function statOf(pid: number): { parentPid: number; cpuTicks: number } | null {
  const stat = readOrNull(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field, the name in parentheses, may hold spaces: count from behind it (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { parentPid: Number(fields[1]), cpuTicks: Number(fields[11]) + Number(fields[12]) };
}

/** null: the process ended meanwhile. */
function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
