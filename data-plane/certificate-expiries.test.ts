import { describe, expect, it } from "vitest";
import { ExpiryWatch, expiryMetric } from "./certificate-expiries.ts";
import type { CertificateExpiry } from "./snapshot/compile-tls.ts";
import type { Log } from "./telemetry/log.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

const dayMs = 86_400_000;

function watch(expiries: CertificateExpiry[]) {
  const timers = new FakeTimers();
  const told: string[] = [];
  const warn = (fields: { certificate?: string; certificates?: number }, text: string) =>
    told.push(`${fields.certificate ?? fields.certificates}: ${text}`);
  const log = { warn } as unknown as Log;
  return {
    told,
    timers,
    watch: new ExpiryWatch({ expiries: () => expiries, nowUnixMs: () => timers.nowMs(), timers, log }),
  };
}

describe("ExpiryWatch", () => {
  it("warns once when a certificate expires within 30 days, and once when it has", async () => {
    const {
      told,
      timers,
      watch: each,
    } = watch([
      { id: "later", expiresAtMs: 32.5 * dayMs },
      { id: "soon", expiresAtMs: 2.5 * dayMs },
    ]);
    each.look();
    each.look();
    expect(told.splice(0)).toEqual(["soon: certificate expires soon"]);
    await timers.pass(2 * dayMs);
    expect(told.splice(0)).toEqual([]);
    await timers.pass(dayMs);
    expect(told.splice(0)).toEqual(["soon: certificate expired", "later: certificate expires soon"]);
    each.close();
    await timers.pass(60 * dayMs);
    expect(told).toEqual([]);
  });

  it("does not flood the log", () => {
    const { told, watch: each } = watch(Array.from({ length: 50 }, (_, i) => ({ id: `c${i}`, expiresAtMs: i })));
    each.look();
    expect(told).toHaveLength(21);
    expect(told[0]).toBe("c0: certificate expired");
    expect(told[20]).toBe("30: further certificates expired or expire soon");
  });
});

describe("expiryMetric", () => {
  it("has those that expire first, as many as it may", () => {
    const expiries = [3, 1, 2].map((i) => ({ id: `c${i}`, expiresAtMs: i * 1_000 }));
    expect(expiryMetric(expiries, 2).samples).toEqual([
      { labels: [["id", "c1"]], value: 1 },
      { labels: [["id", "c2"]], value: 2 },
    ]);
  });
});
