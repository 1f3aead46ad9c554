import { readFileSync } from "node:fs";
import { join } from "node:path";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { defaultResilience as ofControlPlane } from "../control-plane/resource/effective-resilience.ts";
import { enumSpelling } from "../control-plane/resource/enum-spelling.ts";
import { leafFields, valueAt } from "../control-plane/resource/message-fields.ts";
import { defaultResilience as ofDataPlane } from "../data-plane/config/resilience-config.ts";
import { ResilienceSchema } from "../proto/gen/penstock/config/v1/resilience_pb.ts";
import { repositoryRoot } from "./support/penstock-processes.ts";

/** The table of defaults in docs/resilience.md: by field, the text in its second column. */
function documentedDefaults(): Map<string, string> {
  const page = readFileSync(join(repositoryRoot, "docs/resilience.md"), "utf8");
  const section = page.slice(page.indexOf("\n## What is on by default\n"), page.indexOf("\n## To see it\n"));
  const rows = [...section.matchAll(/^\| `([a-z_.]+)` \| ?(.*?) ?\|/gm)];
  return new Map(rows.map((row) => [row[1]!, row[2]!]));
}

/** A value as the table has it. */
function text(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return Array.isArray(value) && value.length === 0 ? "null" : [value].flat().join(", ");
}

const documented = documentedDefaults();

describe("the table of defaults in docs/resilience.md", () => {
  it("has a row for every field of the contract, and no other", () => {
    expect([...documented.keys()]).toEqual(leafFields(ResilienceSchema).map(({ path }) => path));
  });

  it.each(leafFields(ResilienceSchema))("says of $path what the control plane shows", ({ path, field }) => {
    const value = valueAt(ResilienceSchema, ofControlPlane, path);
    const isDuration = field.message?.typeName === "google.protobuf.Duration" && value !== undefined;
    const shown = isDuration
      ? durationMs(value as never)
      : field.enum === undefined
        ? value
        : enumSpelling(field.enum, value as number);
    expect(documented.get(path)).toBe(text(shown));
  });

  it("says what the data plane goes by", () => {
    const { retry, budget, outlier, stall, panic } = ofDataPlane;
    const figures: Record<string, unknown> = {
      "retry.enabled": retry.isEnabled,
      "retry.statuses": retry.statuses,
      "retry.idempotency_key": retry.takesIdempotencyKey,
      "retry.per_try_timeout": retry.perTryTimeoutMs,
      "retry.budget_ratio": budget.ratio,
      "retry.budget_min_per_second": budget.minPerSecond,
      "retry.body_max_bytes": retry.bodyMaxBytes,
      "outlier.enabled": outlier !== null,
      "outlier.consecutive_resets": outlier?.consecutiveResets,
      "outlier.consecutive_statuses": outlier?.consecutiveStatuses,
      "outlier.base_ejection": outlier?.baseEjectionMs,
      "outlier.max_ejection": outlier?.maxEjectionMs,
      "outlier.max_ejected_percent": outlier?.maxEjectedPercent,
      "stall.enabled": stall !== null,
      "stall.min_silence": stall?.minSilenceMs,
      "stall.factor": stall?.factor,
      "panic.threshold": panic.thresholdPercent,
    };
    for (const [field, value] of Object.entries(figures))
      expect([field, text(value)]).toEqual([field, documented.get(field)]);
    // There may be more than one way to fail open.
    expect(panic.mode.startsWith(documented.get("panic.mode")!)).toBe(true);
  });
});
