import { describe, expect, it } from "vitest";
import { deckUpstream, faults, runFailingTarget } from "../support/failing-target-run.ts";
import { startControlPlane, startDataPlane } from "../support/penstock-processes.ts";

const fieldSets = [
  { fields: "no field set", upstream: {} },
  { fields: "every default of Kong spelled out", upstream: deckUpstream },
];

// Rows 27, 28, 30 and 32: the counts; what it costs in throughput is told by `npm run prove -- failing-targets`.
describe("one of two targets fails at 1,000 requests/s", () => {
  it.each(faults)("%s fails no GET, with no field set or every default of Kong spelled out", async (fault) => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    for (const { fields, upstream } of fieldSets) {
      const { outcome } = await runFailingTarget({
        ...{ adminUrl: controlPlane.adminUrl, proxyPort: dataPlane.proxyPort },
        ...{ fault, method: "GET", requestCount: 3_000, upstream },
      });
      expect(outcome.failures, fields).toEqual([]);
      expect(outcome.ok, fields).toBeGreaterThanOrEqual(3_000);
      expect(outcome.perTarget.get("bad"), fields).toBeGreaterThan(100);
    }
  });

  // At most what was in flight: 16 connections, each with one request.
  it.each(faults)("%s executes no POST twice, and fails at most what was in flight", async (fault) => {
    const controlPlane = await startControlPlane();
    const dataPlane = await startDataPlane(controlPlane.syncAddress);
    const { outcome, executedTwice } = await runFailingTarget({
      ...{ adminUrl: controlPlane.adminUrl, proxyPort: dataPlane.proxyPort },
      ...{ fault, method: "POST", requestCount: 3_000 },
    });
    expect(executedTwice).toEqual([]);
    if (fault !== "503 answers") expect(outcome.failed, outcome.failures.join("\n")).toBeLessThanOrEqual(16);
  });
});
