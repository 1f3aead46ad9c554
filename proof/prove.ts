/**
 * `npm run prove -- <name>`: runs a full-length proof and writes its figures to proof/<name>.json, to be committed.
 * A proof is a file of this folder that exports `prove`. Exit code 1 when a figure misses its bound.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import buildOnce from "../test/support/build-once.ts";

/** One measured figure and what it must keep to. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The figure holds when value <= atMost; null: it is told, and holds nothing. */
  readonly atMost: number | null;
}

/** What a proof file exports; `progress` prints a line for whoever waits. */
export type Prove = (progress: (line: string) => void) => Promise<readonly Figure[]>;

const folder = import.meta.dirname;
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== "prove.ts")
  .map((file) => file.slice(0, -3))
  .sort();

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: folder, encoding: "utf8" }).trim();
}

async function run(name: string): Promise<boolean> {
  const { prove } = (await import(`./${name}.ts`)) as { prove: Prove };
  const figures = await prove((line) => console.log(`${name}: ${line}`));
  const results = figures.map((figure) => ({
    ...figure,
    holds: figure.atMost === null || figure.value <= figure.atMost,
  }));
  const result = {
    proof: name,
    commit: git("rev-parse", "--short", "HEAD"),
    isTreeClean: git("status", "--porcelain") === "",
    at: new Date().toISOString(),
    machine: {
      cpus: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      node: process.version,
    },
    figures: results,
  };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  for (const { name, value, unit, atMost, holds } of results) {
    const verdict = atMost === null ? "told  " : holds ? "holds " : "MISSED";
    console.log(`${verdict}  ${name}: ${value} ${unit}${atMost === null ? "" : ` (at most ${atMost})`}`);
  }
  return results.every((figure) => figure.holds);
}

const asked = process.argv.slice(2);
if (asked.length === 0 || asked.includes("--help")) {
  console.log(`npm run prove -- <name> [<name> ...]\n\nproofs: ${names.join(", ")}`);
} else {
  for (const name of asked) {
    if (!names.includes(name)) {
      console.error(`penstock: no proof is called '${name}'; there are: ${names.join(", ")}`);
      process.exit(2);
    }
  }
  // Proofs start the compiled planes: yesterday's would prove nothing.
  buildOnce();
  let allHold = true;
  for (const name of asked) allHold = (await run(name)) && allHold;
  process.exitCode = allHold ? 0 : 1;
}
