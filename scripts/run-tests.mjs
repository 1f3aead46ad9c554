// Runs the whole test suite and ends with the plain line `N passed, N failed[, N skipped]`.
// Arguments are passed on to vitest: `npm test -- data-plane/route`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "penstock-tests-"));
const report = join(folder, "report.json");
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");

const ran = spawnSync(
  process.execPath,
  [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)],
  { cwd: root, stdio: "inherit" },
);

let counts = { passed: 0, failed: 1, skipped: 0 };
try {
  const json = JSON.parse(readFileSync(report, "utf8"));
  // A file that could not even be loaded has no tests of its own: it counts as one failure.
  const brokenFiles = json.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  counts = {
    passed: json.numPassedTests,
    failed: json.numFailedTests + brokenFiles,
    skipped: json.numPendingTests + json.numTodoTests,
  };
} catch (error) {
  console.error(`penstock: no test report was written: ${error.message}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const isGreen = ran.status === 0 && counts.failed === 0;
if (!isGreen && counts.failed === 0) counts.failed = 1;
console.log(
  `${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`,
);
process.exit(isGreen ? 0 : 1);
