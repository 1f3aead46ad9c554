import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * Compiles the planes before the tests, so that the processes under test run today's code.
 * Type errors are printed and do not stop the tests: the compiler writes the files all the same, and
 * `npm run typecheck` is what refuses them.
 */
export default function buildOnce(): void {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const tsc = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
  spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
}
