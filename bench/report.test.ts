import { describe, expect, it } from "vitest";
import type { Measurement } from "./measure.ts";
import { checkValidity, figuresOf, type MeasuredSubject } from "./report.ts";
import { forwardedFields, type Workload, workloads } from "./workload.ts";

const [workload, withBodies, atFixedRate] = ["W1", "W3", "rate"].map(
  (name) => workloads.find((one) => one.name === name)!,
) as [Workload, Workload, Workload];

describe("figuresOf", () => {
  it("compares each round with nginx in the same round, and takes the median", () => {
    const figures = figuresOf([subject("nginx", [10, 20, 10]), subject("penstock", [12, 22, 15])]);
    expect(figures.map(({ timesNginx }) => timesNginx)).toEqual([1, 1.2]);
    expect(figures[1]).toMatchObject({ cpuUsPerRequest: 15, rounds: [12, 22, 15] });
  });

  it("has no ratio without nginx", () => {
    expect(figuresOf([subject("penstock", [12])])[0]?.timesNginx).toBeNull();
  });
});

describe("checkValidity", () => {
  it("finds nothing wrong with a good run", () => {
    expect(brokenRules([subject("nginx", [20]), subject("haproxy", [21])])).toEqual([]);
  });

  it.each<{ name: string; subjects: MeasuredSubject[]; rule: RegExp }>([
    { name: "HAProxy far from nginx", subjects: [subject("nginx", [20]), subject("haproxy", [30])], rule: /HAProxy/ },
    { name: "new target connections", subjects: [subject("nginx", [20], { targetConnections: 500 })], rule: /reuses/ },
    { name: "failed requests", subjects: [subject("nginx", [20], { failed: 1 })], rule: /answers every/ },
    { name: "wrong shares", subjects: [subject("nginx", [20], { firstTargetShare: 0.5 })], rule: /66\.7 %/ },
    {
      name: "missing fields",
      subjects: [subject("nginx", [20], { forwardedHeads: [headWith(forwardedFields.slice(1))] })],
      rule: /forwarded fields/,
    },
    {
      name: "hop-by-hop fields passed on",
      subjects: [subject("nginx", [20], { forwardedHeads: [headWith([...forwardedFields, "Keep-Alive"])] })],
      rule: /forwarded fields/,
    },
  ])("tells of $name", ({ subjects, rule }) => {
    const broken = brokenRules(subjects);
    expect(broken).toHaveLength(1);
    expect(broken[0]).toMatch(rule);
  });

  it("tells of bodies that did not arrive whole", () => {
    expect(brokenRules([subject("nginx", [20], { bodyBytesPerRequest: 4_096 })], withBodies)).toEqual([]);
    expect(brokenRules([subject("nginx", [20], { bodyBytesPerRequest: 4_095 })], withBodies)).toEqual([
      "nginx forwards bodies whole",
    ]);
  });

  it("tells of lines that an access log lacks", () => {
    expect(brokenRules([subject("penstock", [20], { loggedLines: 10_000 })])).toEqual([]);
    expect(brokenRules([subject("penstock", [20], { loggedLines: 9_999 })])).toEqual(["penstock logs every request"]);
  });

  it("tells of a rate that was not kept up", () => {
    expect(brokenRules([subject("nginx", [20], { requestsPerSecond: 1_990 })], atFixedRate)).toEqual([]);
    expect(brokenRules([subject("nginx", [20], { requestsPerSecond: 1_900 })], atFixedRate)).toEqual([
      "nginx keeps up with 2000 requests/s",
    ]);
  });
});

function brokenRules(subjects: readonly MeasuredSubject[], of = workload): string[] {
  const checks = checkValidity(subjects, figuresOf(subjects), of, 10_000);
  return checks.filter(({ holds }) => !holds).map(({ rule }) => rule);
}

function subject(name: string, cpuUs: readonly number[], differing: Partial<Measurement> = {}): MeasuredSubject {
  const measurements = cpuUs.map((cpuUsPerRequest) => ({
    cpuUsPerRequest,
    requestsPerSecond: 1000,
    latencyMs: null,
    residentMb: 10,
    failed: 0,
    resumedPerRequest: 0,
    targetConnections: 1,
    firstTargetShare: 2 / 3,
    bodyBytesPerRequest: 0,
    loggedLines: null,
    forwardedHeads: [headWith(forwardedFields)],
    ...differing,
  }));
  return { name, version: "1", measurements };
}

function headWith(fields: readonly string[]): string {
  return `GET /answer HTTP/1.1\r\n${fields.map((field) => `${field}: x\r\n`).join("")}`;
}
