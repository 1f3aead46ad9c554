import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CheckReport, countReport } from "./check-counts.ts";

const letters: Readonly<Record<string, CheckReport>> = {
  s: "success",
  h: "http_failure",
  c: "tcp_failure",
  t: "timeout",
};

type Thresholds = Readonly<Record<CheckReport, number>>;

/** What becomes of an endpoint: "-" in, "x" out, one letter per report. */
function course(reports: string, thresholds: Thresholds, startsOut = false): string {
  let counts = 0;
  let isOut = startsOut;
  let course = "";
  for (const letter of reports) {
    const report = letters[letter]!;
    const counted = countReport(counts, isOut, report, thresholds[report]);
    if (counted !== null) {
      counts = counted.counts;
      if (counted.flip !== null) isOut = counted.flip === "unhealthy";
    }
    course += isOut ? "x" : "-";
  }
  return course;
}

const thresholds = (s: number, h: number, c: number, t: number): Thresholds => ({
  success: s,
  http_failure: h,
  tcp_failure: c,
  timeout: t,
});

describe("countReport", () => {
  it.each([
    { name: "takes out at the threshold", reports: "hhh", by: thresholds(1, 3, 0, 0), want: "--x" },
    { name: "at the first failure where that is enough", reports: "cs", by: thresholds(1, 0, 1, 0), want: "x-" },
    { name: "counts each kind of failure for itself", reports: "hctcth", by: thresholds(1, 3, 3, 2), want: "----xx" },
    { name: "begins anew after a success", reports: "hhshhh", by: thresholds(1, 3, 0, 0), want: "-----x" },
    {
      name: "forgets failures of every kind at a success",
      reports: "htcshtc",
      by: thresholds(9, 2, 2, 2),
      want: "-------",
    },
    { name: "keeps one kind of failure through another", reports: "hth", by: thresholds(1, 2, 0, 5), want: "--x" },
    { name: "brings back at the threshold of successes", reports: "csss", by: thresholds(3, 0, 1, 0), want: "xxx-" },
    { name: "begins anew after a failure", reports: "csscsss", by: thresholds(3, 0, 1, 0), want: "xxxxxx-" },
    { name: "ignores a kind whose threshold is 0", reports: "hhhhtttt", by: thresholds(1, 0, 1, 0), want: "--------" },
    {
      name: "never brings back without a threshold of successes",
      reports: "csssss",
      by: thresholds(0, 0, 1, 0),
      want: "xxxxxx",
    },
    { name: "lets no success clear failures there", reports: "hsssh", by: thresholds(0, 2, 0, 0), want: "----x" },
    {
      name: "does not count failures of what is fully out",
      reports: "chhhhs",
      by: thresholds(1, 2, 1, 0),
      want: "xxxxx-",
    },
    {
      name: "does not count successes of what is fully in",
      reports: "sssch",
      by: thresholds(2, 2, 2, 0),
      want: "-----",
    },
  ])("$name", ({ reports, by, want }) => {
    expect(course(reports, by)).toBe(want);
  });

  it("brings in what starts out", () => {
    expect(course("hss", thresholds(2, 1, 1, 1), true)).toBe("xx-");
  });

  it("counts to 255 and no further", () => {
    expect(course("t".repeat(255), thresholds(1, 0, 0, 255))).toBe(`${"-".repeat(254)}x`);
    const word = 0xff << 24;
    expect(countReport(word, false, "timeout", 255)).toEqual({ counts: 0, flip: "unhealthy" });
  });

  it("agrees with Kong's own, four counters and four states", () => {
    const report = fc.constantFrom<CheckReport>("success", "http_failure", "tcp_failure", "timeout");
    // Active and passive checks share the counters, each with its own thresholds.
    const reports = fc.array(fc.record({ report, by: fc.nat(1) }), { maxLength: 200 });
    const by = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(reports, by, (given, limits) => {
        const kong = new KongChecker();
        let counts = 0;
        let isOut = false;
        for (const { report, by: who } of given) {
          const threshold = limits[4 * who + Object.keys(kong.counters).indexOf(report)]!;
          kong.report(report, threshold);
          const counted = countReport(counts, isOut, report, threshold);
          counts = counted?.counts ?? counts;
          if (counted?.flip != null) isOut = counted.flip === "unhealthy";
          expect(isOut).toBe(kong.state === "unhealthy" || kong.state === "mostly_unhealthy");
        }
      }),
    );
  });
});

/** As lua-resty-healthcheck has it: counters are kept at a flip, and the state has four values. */
class KongChecker {
  readonly counters: Record<CheckReport, number> = { success: 0, http_failure: 0, tcp_failure: 0, timeout: 0 };
  state: "healthy" | "mostly_healthy" | "unhealthy" | "mostly_unhealthy" = "healthy";

  report(report: CheckReport, limit: number): void {
    const said = report === "success" ? "healthy" : "unhealthy";
    if (limit === 0 || said === this.state) return;
    const count = ++this.counters[report];
    for (const other of Object.keys(this.counters) as CheckReport[]) {
      if ((other === "success") !== (report === "success")) this.counters[other] = 0;
    }
    const { success, ...failures } = this.counters;
    if (count >= limit) this.state = said;
    else if (this.state === "healthy" && Object.values(failures).some((n) => n > 0)) this.state = "mostly_healthy";
    else if (this.state === "unhealthy" && success > 0) this.state = "mostly_unhealthy";
  }
}
