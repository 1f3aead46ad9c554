import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LIMIT_SETTINGS } from "../data-plane/limit-options.ts";
import { ProxyCounters } from "../data-plane/proxy/proxy-counters.ts";
import { TLS_SETTINGS } from "../data-plane/tls-options.ts";
import { repositoryRoot } from "./support/penstock-processes.ts";

/** The rows of the table of limits in docs/operations.md. */
function documentedLimits(): { options: string[]; metrics: string[] }[] {
  const page = readFileSync(join(repositoryRoot, "docs/operations.md"), "utf8");
  const section = page.slice(page.indexOf("\n## Limits\n"), page.indexOf("\n## Overload\n"));
  const rows = section.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| limit"));
  return rows.map((row) => ({
    options: [...row.matchAll(/`--([a-z-]+)`/g)].map((match) => match[1]!),
    metrics: [
      ...row
        .split("|")
        .at(-2)!
        .matchAll(/`([a-z_]+)`/g),
    ].map((match) => match[1]!),
  }));
}

const counted = Object.keys(new ProxyCounters().read())
  .filter((name) => name.startsWith("limit_"))
  .map((name) => name.slice("limit_".length));
const flags = new Set(Object.values({ ...LIMIT_SETTINGS, ...TLS_SETTINGS }).map(({ flag }) => flag));

describe("each limit that a client or a target can meet", () => {
  it("has a row in docs/operations.md, and a metric for each row", () => {
    const metrics = documentedLimits().flatMap((row) => row.metrics);
    expect(metrics.toSorted()).toEqual(counted.toSorted());
    expect(documentedLimits().filter((row) => row.metrics.length === 0)).toEqual([]);
  });

  it("has the options that its row names", () => {
    const options = documentedLimits().flatMap((row) => row.options);
    expect(options.length).toBeGreaterThan(10);
    expect(options.filter((option) => !flags.has(option))).toEqual([]);
  });

  it("is met in a test that looks at its metric", () => {
    const files = ["data-plane", "test"].flatMap((folder) =>
      readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".test.ts"))
        .map((file) => readFileSync(join(repositoryRoot, folder, file), "utf8")),
    );
    const untested = counted.filter((name) => !files.some((text) => text.includes(`"limit_${name}"`)));
    expect(untested).toEqual([]);
  });
});
