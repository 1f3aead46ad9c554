import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { InitialHealth } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import {
  ActiveHealthcheckSchema,
  HealthcheckType,
  UpstreamSchema,
} from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { type ActiveCheckConfig, StatusKind } from "../config/health-check-config.ts";
import { CheckCompilation } from "./compile-checks.ts";

type Init = MessageInitShape<typeof UpstreamSchema>;

const compilation = new CheckCompilation();

function compile(init: Init) {
  const compiled = compilation.compile(create(UpstreamSchema, { id: "u", name: "u", ...init }), []);
  if (!compiled.ok) throw new Error(`${compiled.problem.field}: ${compiled.problem.message}`);
  return compiled.value;
}

function problemField(init: Init): string {
  const compiled = compilation.compile(create(UpstreamSchema, { id: "u", name: "u", ...init }), []);
  if (compiled.ok) throw new Error("compiled");
  return compiled.problem.field;
}

const every = (seconds: bigint, nanos = 0) => ({ interval: { seconds, nanos } });

type Active = MessageInitShape<typeof ActiveHealthcheckSchema>;

function active(check: Omit<Active, "$typeName">, more: Init = {}): ActiveCheckConfig {
  const whole = create(ActiveHealthcheckSchema, { healthy: every(5n), ...check } as Active);
  return compile({ healthchecks: { active: whole }, ...more } as Init).activeCheck!;
}

describe("CheckCompilation", () => {
  it("compiles nothing where Kong's defaults are written out", () => {
    const off = { successes: 0, interval: {}, httpStatuses: [200, 302] };
    const counts = { httpFailures: 0, tcpFailures: 0, timeouts: 0 };
    const { passive, activeCheck } = compile({
      healthchecks: {
        active: { type: HealthcheckType.HTTP, healthy: off, unhealthy: { ...counts, interval: {} } },
        passive: { type: HealthcheckType.HTTP, healthy: { successes: 0 }, unhealthy: counts },
      },
    });
    expect({ passive, activeCheck }).toEqual({ passive: null, activeCheck: null });
  });

  it("has Kong's default statuses, a good one winning over a bad one", () => {
    const passive = compile({ healthchecks: { passive: { unhealthy: { tcpFailures: 2 } } } }).passive!;
    expect(passive.thresholds).toEqual({ successes: 0, httpFailures: 0, tcpFailures: 2, timeouts: 0 });
    expect([200, 208, 226, 308].map((status) => passive.statusKinds[status])).toEqual(Array(4).fill(StatusKind.Good));
    expect([429, 500, 503].map((status) => passive.statusKinds[status])).toEqual(Array(3).fill(StatusKind.Bad));
    expect([209, 404, 502, 504].map((status) => passive.statusKinds[status])).toEqual(Array(4).fill(StatusKind.Silent));
    const { statusKinds } = active({ healthy: { ...every(1n), httpStatuses: [200, 500] } });
    expect([200, 302, 500, 501].map((status) => statusKinds[status])).toEqual([1, 0, 1, 2]);
  });

  it("has one table for equal lists", () => {
    const one = compile({ healthchecks: { passive: { unhealthy: { tcpFailures: 2 } } } }).passive!;
    const other = compile({ healthchecks: { passive: { unhealthy: { timeouts: 9 } } } }).passive!;
    expect(other.statusKinds).toBe(one.statusKinds);
  });

  it("reads status ranges in the place of both lists", () => {
    const { statusKinds } = active({}, { resilience: { probe: { statusRanges: ["200-399", "404"] } } });
    expect([199, 200, 399, 400, 404, 500].map((status) => statusKinds[status])).toEqual([2, 1, 1, 2, 1, 2]);
  });

  it("fills in the defaults of a probe", () => {
    expect(active({})).toMatchObject({
      thresholds: { successes: 0, httpFailures: 0, tcpFailures: 0, timeouts: 0 },
      healthyIntervalMs: 5_000,
      unhealthyIntervalMs: 0,
      concurrency: 10,
      jitterRatio: 0.1,
      startsOut: false,
      probe: { type: "http", timeoutMs: 1_000, port: null, method: "GET", path: "/", headers: [], hostHeader: null },
    });
  });

  it("takes every field of a probe", () => {
    const check = active(
      {
        type: HealthcheckType.HTTPS,
        timeout: { seconds: 0n, nanos: 250_000_000 },
        concurrency: 3,
        httpPath: "/up?q=a b\u00e9",
        headers: { "x-a": { values: ["1", "2\r\nEvil: yes"] } },
        httpsSni: "sni.test",
        httpsVerifyCertificate: false,
        healthy: every(0n, 500_000_000),
        unhealthy: every(0n, 1_000_000),
      },
      {
        hostHeader: "host.test:8443",
        resilience: { probe: { method: "HEAD", port: 81, jitter: 0.5, bodyContains: "up" } },
      },
    );
    expect(check).toMatchObject({ healthyIntervalMs: 500, unhealthyIntervalMs: 20, concurrency: 3, jitterRatio: 0.5 });
    expect(check.probe).toMatchObject({
      type: "https",
      timeoutMs: 250,
      port: 81,
      method: "HEAD",
      path: "/up?q=a%20b%C3%A9",
      headers: [
        { name: "x-a", value: "1" },
        { name: "x-a", value: "2 Evil: yes" },
      ],
      hostHeader: "host.test:8443",
      serverName: "sni.test",
      isVerified: false,
      bodyContains: "up",
    });
  });

  it("shares a probe's key where what is sent is the same, and only there", () => {
    const base = active({}).probe.key;
    expect(active({ healthy: { ...every(1n), successes: 3 }, concurrency: 1 }).probe.key).toBe(base);
    expect(active({ httpsSni: "only.tls.test" }).probe.key).toBe(base);
    expect(active({ httpPath: "/other" }).probe.key).not.toBe(base);
    expect(active({ timeout: { seconds: 2n } }).probe.key).not.toBe(base);
    expect(active({}, { hostHeader: "h.test" }).probe.key).not.toBe(base);
  });

  it("lets an endpoint start out only where a probe can bring it in", () => {
    const resilience = { probe: { initial: InitialHealth.UNHEALTHY } };
    expect(active({ unhealthy: every(1n) }, { resilience }).startsOut).toBe(false);
    expect(active({ healthy: { ...every(1n), successes: 1 } }, { resilience }).startsOut).toBe(false);
    const both = { healthy: { ...every(1n), successes: 1 }, unhealthy: every(1n) };
    expect(active(both, { resilience }).startsOut).toBe(true);
  });

  it.each<{ field: string; init: Init }>([
    {
      field: "healthchecks.passive.unhealthy.timeouts",
      init: { healthchecks: { passive: { unhealthy: { timeouts: 256 } } } },
    },
    {
      field: "healthchecks.active.healthy.successes",
      init: { healthchecks: { active: { healthy: { ...every(1n), successes: -1 } } } },
    },
    {
      field: "healthchecks.active.http_path",
      init: { healthchecks: { active: { healthy: every(1n), httpPath: "x" } } },
    },
    {
      field: "healthchecks.active.headers",
      init: { healthchecks: { active: { healthy: every(1n), headers: { "a b": {} } } } },
    },
    {
      field: "resilience.probe.status_ranges[1]",
      init: {
        healthchecks: { active: { healthy: every(1n) } },
        resilience: { probe: { statusRanges: ["200", "399-200"] } },
      },
    },
    {
      field: "resilience.probe.jitter",
      init: { healthchecks: { active: { healthy: every(1n) } }, resilience: { probe: { jitter: 1.5 } } },
    },
  ])("refuses $field", ({ field, init }) => {
    expect(problemField(init)).toBe(field);
  });
});
