import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RetryPolicySchema } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { defaultResilience } from "../config/resilience-config.ts";
import { compileResilience, compileRetry } from "./compile-resilience.ts";

type Init = Parameters<typeof create<typeof UpstreamSchema>>[1];
const compile = (init: Init) => compileResilience(create(UpstreamSchema, init));
const compiledOf = (init: Init) => {
  const outcome = compile(init);
  if (!outcome.ok) throw new Error(outcome.problem.message);
  return outcome.value;
};
const passive = (unhealthy: { tcpFailures?: number; timeouts?: number; httpFailures?: number }): Init => ({
  healthchecks: { passive: { unhealthy } },
});

describe("compileResilience", () => {
  it("has everything on where nothing is said", () => {
    expect(compiledOf({})).toEqual(defaultResilience);
  });

  it("is the same where every default of Kong is spelled out", () => {
    const unhealthy = { tcpFailures: 0, timeouts: 0, httpFailures: 0 };
    expect(compiledOf({ healthchecks: { threshold: 0, passive: { unhealthy } } })).toEqual(defaultResilience);
  });

  it.each([
    [{ tcpFailures: 3 }, { ejectsRefusing: false, consecutiveResets: 0 }],
    [{ httpFailures: 3 }, { consecutiveStatuses: 0 }],
  ] as const)("a count of Kong's takes the place of the default that does the same: %o", (counts, changed) => {
    expect(compiledOf(passive(counts))).toEqual({
      ...defaultResilience,
      outlier: { ...defaultResilience.outlier, ...changed },
    });
  });

  it("a count of time-outs takes the place of silence", () => {
    expect(compiledOf(passive({ timeouts: 2 })).stall).toBeNull();
  });

  it("what is ours goes before what is Kong's", () => {
    const healthchecks = { passive: { unhealthy: { tcpFailures: 3, timeouts: 2 } } };
    const resilience = { outlier: { consecutiveResets: 9 }, stall: {} };
    expect(compiledOf({ healthchecks, resilience })).toMatchObject({
      outlier: { consecutiveResets: 9 },
      stall: defaultResilience.stall,
    });
  });

  it("turns each part off, and only that", () => {
    expect(compiledOf({ resilience: { outlier: { enabled: false } } })).toEqual({
      ...defaultResilience,
      outlier: null,
    });
    expect(compiledOf({ resilience: { stall: { enabled: false } } })).toEqual({ ...defaultResilience, stall: null });
    expect(compiledOf({ resilience: { retry: { enabled: false } } }).retry.isEnabled).toBe(false);
  });

  it.each<{ field: string; resilience: NonNullable<Init>["resilience"] }>([
    { field: "resilience.retry.statuses[1]", resilience: { retry: { statuses: [503, 404] } } },
    { field: "resilience.retry.per_try_timeout", resilience: { retry: { perTryTimeout: { seconds: 0n } } } },
    { field: "resilience.retry.body_max_bytes", resilience: { retry: { bodyMaxBytes: -1 } } },
    { field: "resilience.retry.budget_ratio", resilience: { retry: { budgetRatio: Number.NaN } } },
    { field: "resilience.retry.budget_min_per_second", resilience: { retry: { budgetMinPerSecond: -1 } } },
    { field: "resilience.outlier.base_ejection", resilience: { outlier: { baseEjection: { seconds: 0n } } } },
    { field: "resilience.outlier.max_ejected_percent", resilience: { outlier: { maxEjectedPercent: 101 } } },
    { field: "resilience.stall.min_silence", resilience: { stall: { minSilence: { seconds: -1n } } } },
    { field: "resilience.stall.factor", resilience: { stall: { factor: 0 } } },
    { field: "resilience.panic.threshold", resilience: { panic: { threshold: 101 } } },
  ])("refuses $field", ({ field, resilience }) => {
    const outcome = compile({ resilience });
    expect(outcome.ok ? null : outcome.problem.field).toBe(field);
  });
});

describe("compileRetry", () => {
  it("says only what was said", () => {
    expect(compileRetry(create(RetryPolicySchema, { statuses: [500] }), "retry")).toEqual({
      ok: true,
      value: { statuses: [500] },
    });
    expect(compileRetry(undefined, "retry")).toEqual({ ok: true, value: {} });
  });
});
