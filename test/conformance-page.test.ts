import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { requestCorpus } from "./conformance/request-corpus.ts";
import { responseCorpus } from "./conformance/response-corpus.ts";
import { repositoryRoot } from "./support/penstock-processes.ts";

const page = readFileSync(join(repositoryRoot, "docs/conformance.md"), "utf8");
const files = ["control-plane", "data-plane", "test", "proof"].flatMap((folder) =>
  readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
);

/** "row 3", "rows 1, 15 and 17", "S7": each by itself. */
function rowsNamedIn(text: string): ReadonlySet<string> {
  const lists = text.match(/\brows? \d+(?:(?:, | and |, and )\d+)*/gi) ?? [];
  const rows = lists.flatMap((list) => list.match(/\d+/g)!.map((number) => `row ${number}`));
  return new Set([...rows, ...(text.match(/\bS\d+\b/g) ?? [])]);
}

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
    const rows = rowsNamedIn(page);
    expect(rows.size).toBeGreaterThan(40);
    const said = rowsNamedIn(texts);
    expect([...rows].filter((row) => !said.has(row))).toEqual([]);
  });
});

describe("docs/strictness.md", () => {
  it("says how many cases there are", () => {
    const strictness = readFileSync(join(repositoryRoot, "docs/strictness.md"), "utf8");
    const requests = requestCorpus.flatMap(({ cases }) => cases);
    const answers = responseCorpus.flatMap(({ cases }) => cases);
    const arriving = requests.filter(({ want }) => Array.isArray(want));
    const delivered = answers.filter(({ want }) => typeof want === "object");
    expect(strictness).toContain(`| ${requests.length} by family, ${arriving.length} of them must arrive,`);
    expect(strictness).toContain(`| ${answers.length}, ${delivered.length} of them must be delivered;`);
    expect(strictness).toContain(`| 0 of ${requests.length} | 0 of 24 | 0 / 0 of ${answers.length} |`);
  });
});
