import { describe, expect, it } from "vitest";
import { judgeBars } from "./bars.ts";
import type { WorkloadResult } from "./report.ts";
import { resultsPage } from "./results-page.ts";

describe("judgeBars", () => {
  it("takes the median of ours against the other in the same rounds", () => {
    const judged = judgeBars([resultOf("W2", { penstock: [30, 20, 90], nginx: [20, 20, 50] })]);
    expect(judged.find(({ against }) => against === "nginx")).toMatchObject({ max: 1.8, ratio: 1.5 });
    expect(judged.find(({ against }) => against === "envoy")).toMatchObject({ ratio: null });
    expect(judged.every(({ workload }) => workload === "W2")).toBe(true);
  });

  it("reaches Kong through nginx", () => {
    const judged = judgeBars([resultOf("W1", { penstock: [26.1], nginx: [20] })]);
    expect(judged.find(({ against }) => against.startsWith("Kong"))?.ratio).toBeCloseTo(0.5);
  });
});

describe("resultsPage", () => {
  const rowOf = (page: string, against: string) => page.split("\n").find((line) => line.includes(`x ${against} `));

  it("says of each bar whether it is met", () => {
    const page = resultsPage([resultOf("W2", { penstock: [30], nginx: [20], envoy: [30] })], null);
    expect(rowOf(page, "nginx")).toMatch(/\| <= 1\.8 \| 1\.50 \| yes \|$/);
    expect(rowOf(page, "envoy")).toMatch(/\| 1\.00 \| \*\*no\*\* \|$/);
    expect(rowOf(page, "caddy")).toMatch(/\| not measured \| - \|$/);
  });

  it("judges nothing by a run that is not valid, and says what was wrong", () => {
    const result = { ...resultOf("W2", { penstock: [30], nginx: [20] }), isValid: false };
    const page = resultsPage([{ ...result, validity: [{ rule: "a rule", holds: false, found: "a breach" }] }], null);
    expect(rowOf(page, "nginx")).toMatch(/\| 1\.50 \| run not valid \|$/);
    expect(page).toContain("**Not valid**: not so: a rule (a breach).");
  });
});

function resultOf(workload: string, roundsOf: Record<string, readonly number[]>): WorkloadResult {
  const subjects = Object.entries(roundsOf).map(([name, rounds]) => ({
    name,
    version: "1",
    cpuUsPerRequest: 1,
    timesNginx: null,
    requestsPerSecond: 1,
    latencyMs: null,
    residentMb: 1,
    rounds,
    targetConnectionsMax: 1,
    failed: 0,
  }));
  return {
    workload,
    title: "a workload",
    commit: "abc",
    date: "2026-01-01T00:00:00Z",
    machine: { cpu: "a cpu", cores: 2, kernel: "6" },
    node: "v24",
    requestsPerMeasurement: 1,
    connections: 1,
    isValid: true,
    validity: [],
    subjects,
    notMeasured: [],
  };
}
