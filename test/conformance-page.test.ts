import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryRoot } from "./support/penstock-processes.ts";

const page = readFileSync(join(repositoryRoot, "docs/conformance.md"), "utf8");
const files = ["data-plane", "test", "proof"].flatMap((folder) =>
  readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
);

describe("docs/conformance.md", () => {
  it("names files, folders and proofs that there are", () => {
    const named = [...page.matchAll(/`([\w./-]+(?:\.ts|\/))`/g)].map((match) => match[1]!);
    expect(named.length).toBeGreaterThan(30);
    const isThere = (name: string) =>
      existsSync(join(repositoryRoot, name)) || files.some((file) => file.endsWith(`/${name}`));
    expect(named.filter((name) => !isThere(name))).toEqual([]);
    const proofs = [...page.matchAll(/proof `([\w-]+)`/g)].map((match) => `proof/${match[1]}.ts`);
    expect(proofs.length).toBeGreaterThan(5);
    expect(proofs.filter((proof) => !files.includes(proof))).toEqual([]);
  });

  it("names rows that tests or proofs are called after", () => {
    const sources = files.filter((file) => file.endsWith(".ts") && !file.endsWith("-page.test.ts"));
    const texts = sources.map((file) => readFileSync(join(repositoryRoot, file), "utf8")).join("\n");
    const rows = new Set(
      page.match(/\brows? \d+\b|\bS\d+\b/gi)!.map((row) => row.toLowerCase().replace("rows", "row")),
    );
    expect(rows.size).toBeGreaterThan(15);
    const said = new Set(
      texts.match(/\brows? \d+\b|\bS\d+\b/gi)!.map((row) => row.toLowerCase().replace("rows", "row")),
    );
    expect([...rows].filter((row) => !said.has(row))).toEqual([]);
  });
});
