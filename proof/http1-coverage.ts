/** How much of the HTTP/1.1 parsers the tests go through: its unit tests and the corpus, by branches. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Figure } from "./prove.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");

interface Coverage {
  readonly pct: number;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-coverage-"));
  try {
    progress("running the tests of data-plane/http1 and the corpus");
    const options = ["--coverage", "--coverage.include=data-plane/http1/**", "--coverage.exclude=**/*.test.ts"];
    const reports = ["--coverage.reporter=json-summary", `--coverage.reportsDirectory=${folder}`];
    const ran = spawnSync(
      process.execPath,
      [vitest, "run", "data-plane/http1", "test/conformance", ...options, ...reports],
      { cwd: root, encoding: "utf8" },
    );
    if (ran.status !== 0) throw new Error(`the tests failed:\n${ran.stdout}\n${ran.stderr}`);
    const summary = JSON.parse(readFileSync(join(folder, "coverage-summary.json"), "utf8")) as Record<
      string,
      { branches: Coverage; lines: Coverage }
    >;
    const { branches, lines } = summary["total"]!;
    const missing = ({ pct }: Coverage) => Math.round((100 - pct) * 100) / 100;
    return [
      { name: "branches of data-plane/http1 that no test takes", value: missing(branches), unit: "%", atMost: 5 },
      { name: "lines of data-plane/http1 that no test runs", value: missing(lines), unit: "%", atMost: 5 },
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
