import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Compiles the planes before the tests, so that the processes under test run today's code. */
export default function buildOnce(): void {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const tsc = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
}
