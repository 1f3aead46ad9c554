import { create, equals } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { PanicMode, ResilienceSchema } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { defaultResilience, effectiveResilience } from "./effective-resilience.ts";
import { upstreamRules } from "./upstream.ts";

type UpstreamInit = Parameters<typeof create<typeof UpstreamSchema>>[1];

const effective = (init: UpstreamInit) => effectiveResilience(create(UpstreamSchema, init));
const passive = (unhealthy: object) => ({ healthchecks: { passive: { unhealthy } } });

describe("effectiveResilience", () => {
  it("is the defaults where nothing is said, also where every default of Kong's is spelled out", () => {
    for (const upstream of [create(UpstreamSchema), upstreamRules.defaults]) {
      const { resilience, replaced } = effectiveResilience(upstream);
      expect(equals(ResilienceSchema, resilience, defaultResilience)).toBe(true);
      expect(replaced).toEqual([]);
    }
  });

  it("is what is said, field by field, and leaves the defaults as they are", () => {
    const before = structuredClone(defaultResilience);
    const { resilience } = effective({
      resilience: {
        retry: { statuses: [503], enabled: false },
        outlier: { maxEjectedPercent: 0 },
        probe: { port: 81 },
      },
    });
    expect(resilience.retry).toMatchObject({
      statuses: [503],
      enabled: false,
      methods: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"],
    });
    expect(resilience.outlier).toMatchObject({ maxEjectedPercent: 0, consecutiveResets: 5 });
    expect(resilience.probe).toMatchObject({ port: 81, method: "GET" });
    expect(defaultResilience).toEqual(before);
  });

  it("never ejects for less than the base", () => {
    const { resilience } = effective({ resilience: { outlier: { baseEjection: durationFromMs(60_000) } } });
    expect(resilience.outlier?.maxEjection).toEqual(durationFromMs(60_000));
  });

  it.each([
    {
      name: "failed connections",
      init: passive({ tcpFailures: 3 }),
      want: { outlier: { consecutiveResets: 3 } },
      replaced: ["outlier.consecutive_resets by healthchecks.passive.unhealthy.tcp_failures"],
    },
    {
      name: "bad answers",
      init: passive({ httpFailures: 7 }),
      want: { outlier: { consecutiveStatuses: 7, consecutiveResets: 5 } },
      replaced: ["outlier.consecutive_statuses by healthchecks.passive.unhealthy.http_failures"],
    },
    {
      name: "timeouts",
      init: passive({ timeouts: 2 }),
      want: { stall: { enabled: false } },
      replaced: ["stall by healthchecks.passive.unhealthy.timeouts"],
    },
    {
      name: "a threshold",
      init: { healthchecks: { threshold: 40 } },
      want: { panic: { threshold: 40, mode: PanicMode.FAIL_CLOSED } },
      replaced: ["panic.threshold by healthchecks.threshold"],
    },
    {
      name: "a threshold beside a mode of ours",
      init: { healthchecks: { threshold: 40 }, resilience: { panic: { mode: PanicMode.FAIL_OPEN } } },
      want: { panic: { threshold: 40, mode: PanicMode.FAIL_OPEN } },
      replaced: ["panic.threshold by healthchecks.threshold"],
    },
  ])("says that Kong's count of $name takes the place of a default", ({ init, want, replaced }) => {
    const { resilience, replaced: told } = effective(init);
    expect(resilience).toMatchObject(want);
    expect(told.map(({ field, by }) => `${field} by ${by}`)).toEqual(replaced);
  });

  it.each([
    { mode: undefined, says: "requests are answered with 503" },
    { mode: PanicMode.FAIL_CLOSED, says: "requests are answered with 503" },
    { mode: PanicMode.FAIL_OPEN, says: "every endpoint gets requests" },
    { mode: PanicMode.LAST_GOOD, says: "those that were in when there were enough get requests" },
  ])("says what becomes of requests at Kong's threshold, with mode $mode", ({ mode, says }) => {
    const panic = mode === undefined ? {} : { mode };
    const { replaced } = effective({ healthchecks: { threshold: 40 }, resilience: { panic } });
    expect(replaced.map(({ meaning }) => meaning)).toEqual([`with 40 % of the weight or less left, ${says}`]);
  });

  it("goes by our own fields before Kong's", () => {
    const { resilience, replaced } = effective({
      healthchecks: { threshold: 40, passive: { unhealthy: { httpFailures: 7, timeouts: 2 } } },
      resilience: { outlier: { consecutiveStatuses: 2 }, stall: { factor: 8 }, panic: { threshold: 10 } },
    });
    expect(resilience).toMatchObject({
      outlier: { consecutiveStatuses: 2 },
      stall: { enabled: true, factor: 8 },
      panic: { threshold: 10, mode: PanicMode.FAIL_OPEN },
    });
    expect(replaced).toEqual([]);
  });

  it("says of a first refused connection that it is forgiven, also where resets are counted by ours", () => {
    const { replaced } = effective({
      ...passive({ tcpFailures: 3 }),
      resilience: { outlier: { consecutiveResets: 2 } },
    });
    expect(replaced.map(({ meaning }) => meaning)).toEqual([
      "an endpoint is out after 3 failed connections in a row, and not at the first one; its resets are counted by the resilience's own field",
    ]);
  });

  it("replaces nothing of what is off", () => {
    const { resilience, replaced } = effective({
      ...passive({ tcpFailures: 3, httpFailures: 3 }),
      resilience: { outlier: { enabled: false } },
    });
    expect([resilience.outlier?.enabled, replaced]).toEqual([false, []]);
  });
});
