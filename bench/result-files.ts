import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MemoryResult } from "./measure-memory.ts";
import { memoryName } from "./options.ts";
import type { WorkloadResult } from "./report.ts";
import { resultsPage } from "./results-page.ts";
import { workloads } from "./workload.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "bench", "results");

/** Where and when a figure was measured. */
export function provenance(): Pick<WorkloadResult, "commit" | "date" | "machine" | "node"> {
  return {
    commit: commitOf(),
    date: new Date().toISOString(),
    machine: { cpu: cpus()[0]?.model ?? "unknown", cores: availableParallelism(), kernel: release() },
    node: process.version,
  };
}

export function writeWorkload(result: WorkloadResult): void {
  write(result.workload, result);
}

export function writeMemory(result: MemoryResult): void {
  write(memoryName, result);
}

function write(name: string, result: WorkloadResult | MemoryResult): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(pathOf(name), `${JSON.stringify(result, null, 2)}\n`);
  // All other workloads as they were measured last.
  const results = workloads.map((one) => read<WorkloadResult>(one.name)).filter((one) => one !== null);
  writeFileSync(join(folder, "README.md"), resultsPage(results, read<MemoryResult>(memoryName)));
  console.log(`written: bench/results/${name.toLowerCase()}.json and README.md`);
}

function read<T>(name: string): T | null {
  return existsSync(pathOf(name)) ? (JSON.parse(readFileSync(pathOf(name), "utf8")) as T) : null;
}

function pathOf(name: string): string {
  return join(folder, `${name.toLowerCase()}.json`);
}

/** The commit that was measured; "+changes" when files differ from it. */
function commitOf(): string {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const changes = git("status", "--porcelain", "--", "data-plane", "proto", "bin");
  return git("rev-parse", "--short", "HEAD") + (changes === "" ? "" : "+changes");
}
