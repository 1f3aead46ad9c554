import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  circleViolations,
  dependencyViolations,
  layeringViolations,
  nameViolations,
  purityViolations,
  roleViolations,
  type Sources,
  sizeViolations,
  type Violation,
} from "./support/architecture-rules.ts";
import { repositoryRoot } from "./support/penstock-processes.ts";

function readSources(): Map<string, string> {
  const sources = new Map<string, string>();
  for (const top of ["proto", "control-plane", "data-plane", "cli", "test", "bench", "proof", "scripts"]) {
    let names: string[];
    try {
      names = readdirSync(join(repositoryRoot, top), { recursive: true, encoding: "utf8" });
    } catch {
      continue;
    }
    for (const name of names) {
      const file = `${top}/${name.replaceAll("\\", "/")}`;
      if (file.endsWith(".ts")) sources.set(file, readFileSync(join(repositoryRoot, file), "utf8"));
    }
  }
  return sources;
}

const sources: Sources = readSources();

/** The sources with one file put in, or changed, as a planted violation. */
function withPlanted(file: string, text: string): Sources {
  return new Map([...sources, [file, text]]);
}

const rules: {
  name: string;
  check: (s: Sources) => Violation[];
  planted: { file: string; text: string; says: RegExp };
}[] = [
  {
    name: "layering: imports only go down, and the planes share only proto/",
    check: layeringViolations,
    planted: {
      file: "data-plane/route/planted.ts",
      text: 'import { x } from "../listener/listener.ts";\nexport const y = x;\n',
      says: /stands above it/,
    },
  },
  {
    name: "no import circles",
    check: circleViolations,
    planted: {
      file: "data-plane/balance/planted.ts",
      text: 'import { y } from "./planted.ts";\nexport const x = y;\n',
      says: /imports itself/,
    },
  },
  {
    name: "pure places do no I/O and read neither clock nor randomness",
    check: purityViolations,
    planted: { file: "data-plane/http1/planted.ts", text: "export const now = () => Date.now();\n", says: /Date\.now/ },
  },
  {
    name: "files stay small",
    check: sizeViolations,
    planted: { file: "control-plane/admin/planted.ts", text: "\n".repeat(401), says: /401 lines/ },
  },
  {
    name: "names say what a thing is",
    check: nameViolations,
    planted: { file: "control-plane/store/row-utils.ts", text: "export const x = 1;\n", says: /says nothing/ },
  },
  {
    name: "only the gRPC face makes ConnectErrors, only error-response writes our own answers",
    check: roleViolations,
    planted: {
      file: "control-plane/admin/planted.ts",
      text: 'export const fail = () => new ConnectError("no");\n',
      says: /ConnectError/,
    },
  },
  {
    name: "workers load no protobuf, the data plane loads nothing of the admin API",
    check: dependencyViolations,
    planted: {
      file: "data-plane/worker.ts",
      text: 'import { create } from "@bufbuild/protobuf";\nexport const x = create;\n',
      says: /@bufbuild\/protobuf/,
    },
  },
];

describe("architecture", () => {
  it.each(rules)("$name", ({ check }) => {
    expect(check(sources)).toEqual([]);
  });

  it.each(rules)("notices a planted violation of: $name", ({ check, planted }) => {
    const found = check(withPlanted(planted.file, planted.text));
    expect(found.some((violation) => planted.says.test(violation.what))).toBe(true);
  });

  it("functions have at most 70 lines", () => {
    const biome = join(repositoryRoot, "node_modules/@biomejs/biome/bin/biome");
    const ran = spawnSync(process.execPath, [biome, "lint", "--only=complexity/noExcessiveLinesPerFunction", "."], {
      cwd: repositoryRoot,
      encoding: "utf8",
    });
    expect(ran.status, ran.stdout + ran.stderr).toBe(0);
  });

  it("generated code is current", () => {
    const folder = mkdtempSync(join(tmpdir(), "penstock-generated-"));
    try {
      const bin = join(repositoryRoot, "node_modules", ".bin");
      execFileSync(join(bin, "buf"), ["generate", "-o", folder], {
        cwd: repositoryRoot,
        env: { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"]}` },
        stdio: "pipe",
      });
      const listed = (root: string) =>
        readdirSync(root, { recursive: true, encoding: "utf8" })
          .filter((name) => name.endsWith(".ts"))
          .sort();
      const fresh = join(folder, "proto/gen");
      const committed = join(repositoryRoot, "proto/gen");
      expect(listed(committed)).toEqual(listed(fresh));
      for (const name of listed(fresh))
        expect(readFileSync(join(committed, name), "utf8"), name).toBe(readFileSync(join(fresh, name), "utf8"));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
