import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { compilerFlags } from "./tune-compiler.ts";

it.each(compilerFlags)("sets %s, which this Node knows", (flag) => {
  const known = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8", maxBuffer: 16 << 20 });
  expect(known).toContain(`  ${flag.split("=")[0]} (`);
});
