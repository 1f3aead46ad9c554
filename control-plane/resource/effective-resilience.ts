import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import {
  InitialHealth,
  type OutlierPolicy,
  OutlierPolicySchema,
  PanicMode,
  type PanicPolicy,
  PanicPolicySchema,
  type Resilience,
  ResilienceSchema,
  type RetryPolicy,
  type StallPolicy,
  StallPolicySchema,
} from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import type { Healthchecks, Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";

/** A default of ours in whose place a field of Kong's counts. */
export interface ReplacedDefault {
  /** Path of ours, within the resilience. */
  readonly field: string;
  /** Path of Kong's, within the upstream. */
  readonly by: string;
  readonly meaning: string;
}

/** What the nodes go by. */
export interface EffectiveResilience {
  /** With every default filled in; what has no value then is absent. */
  readonly resilience: Resilience;
  readonly replaced: readonly ReplacedDefault[];
}

/** What is on where nobody says anything; the nodes have the same figures. Both are held against docs/resilience.md. */
export const defaultResilience: Resilience = create(ResilienceSchema, {
  retry: {
    enabled: true,
    statuses: [502, 503, 504],
    methods: ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"],
    idempotencyKey: false,
    budgetRatio: 0.2,
    budgetMinPerSecond: 10,
    bodyMaxBytes: 65_536,
  },
  outlier: {
    enabled: true,
    consecutiveResets: 5,
    consecutiveStatuses: 5,
    baseEjection: durationFromMs(500),
    maxEjection: durationFromMs(10_000),
    maxEjectedPercent: 50,
  },
  stall: { enabled: true, minSilence: durationFromMs(500), factor: 4 },
  panic: { threshold: 0, mode: PanicMode.FAIL_OPEN },
  probe: { method: "GET", grpcService: "", initial: InitialHealth.HEALTHY, jitter: 0.1 },
});

/**
 * The policy that an upstream's nodes go by: what its `resilience` says, else a field of Kong's that is not 0, else
 * the default.
 */
export function effectiveResilience({
  resilience,
  healthchecks,
}: Pick<Upstream, "resilience" | "healthchecks">): EffectiveResilience {
  const replaced: ReplacedDefault[] = [];
  const filled = create(ResilienceSchema, {
    retry: filledRetry(resilience?.retry),
    outlier: filledOutlier(resilience?.outlier, healthchecks, replaced),
    stall: filledStall(resilience?.stall, healthchecks, replaced),
    panic: filledPanic(resilience?.panic, healthchecks, replaced),
    probe: overDefaults(defaultResilience.probe!, resilience?.probe),
  });
  return { resilience: filled, replaced };
}

function filledRetry(retry: RetryPolicy | undefined): RetryPolicy {
  return overDefaults(defaultResilience.retry!, retry);
}

function filledOutlier(
  outlier: OutlierPolicy | undefined,
  healthchecks: Healthchecks | undefined,
  replaced: ReplacedDefault[],
): OutlierPolicy {
  const filled = create(OutlierPolicySchema, overDefaults(defaultResilience.outlier!, outlier));
  filled.maxEjection = longer(filled.maxEjection!, filled.baseEjection!);
  if (!filled.enabled) return filled;
  const { tcpFailures = 0, httpFailures = 0 } = healthchecks?.passive?.unhealthy ?? {};
  if (tcpFailures > 0) {
    if (outlier?.consecutiveResets === undefined) filled.consecutiveResets = tcpFailures;
    replaced.push({
      field: "outlier.consecutive_resets",
      by: "healthchecks.passive.unhealthy.tcp_failures",
      meaning:
        `an endpoint is out after ${tcpFailures} failed connections in a row, and not at the first one` +
        (outlier?.consecutiveResets === undefined ? "" : "; its resets are counted by the resilience's own field"),
    });
  }
  if (httpFailures > 0 && outlier?.consecutiveStatuses === undefined) {
    filled.consecutiveStatuses = httpFailures;
    replaced.push({
      field: "outlier.consecutive_statuses",
      by: "healthchecks.passive.unhealthy.http_failures",
      meaning: `an endpoint is out after ${httpFailures} answers in a row with a status of the passive check's list`,
    });
  }
  return filled;
}

function filledStall(
  stall: StallPolicy | undefined,
  healthchecks: Healthchecks | undefined,
  replaced: ReplacedDefault[],
): StallPolicy {
  const filled = create(StallPolicySchema, overDefaults(defaultResilience.stall!, stall));
  const timeouts = healthchecks?.passive?.unhealthy?.timeouts ?? 0;
  if (stall !== undefined || timeouts === 0) return filled;
  filled.enabled = false;
  replaced.push({
    field: "stall",
    by: "healthchecks.passive.unhealthy.timeouts",
    meaning: `an endpoint that is silent is out after ${timeouts} timeouts in a row`,
  });
  return filled;
}

const panicMeanings: ReadonlyMap<PanicMode | undefined, string> = new Map([
  [PanicMode.FAIL_OPEN, "every endpoint gets requests"],
  [PanicMode.FAIL_CLOSED, "requests are answered with 503"],
  [PanicMode.LAST_GOOD, "those that were in when there were enough get requests"],
]);

function filledPanic(
  panic: PanicPolicy | undefined,
  healthchecks: Healthchecks | undefined,
  replaced: ReplacedDefault[],
): PanicPolicy {
  const filled = create(PanicPolicySchema, overDefaults(defaultResilience.panic!, panic));
  const threshold = healthchecks?.threshold ?? 0;
  if (panic?.threshold !== undefined || threshold === 0) return filled;
  filled.threshold = threshold;
  filled.mode = panic?.mode ?? PanicMode.FAIL_CLOSED;
  replaced.push({
    field: "panic.threshold",
    by: "healthchecks.threshold",
    meaning: `with ${threshold} % of the weight or less left, ${panicMeanings.get(filled.mode)}`,
  });
  return filled;
}

/** The defaults with what is set instead. An empty list is one that is not set. */
function overDefaults<T extends object>(defaults: T, set: T | undefined): T {
  const filled = { ...defaults } as Record<string, unknown>;
  for (const [name, value] of Object.entries(set ?? {})) {
    const isUnset = value === undefined || (Array.isArray(value) && value.length === 0);
    if (!isUnset) filled[name] = value;
  }
  return filled as T;
}

function longer(one: Duration, other: Duration): Duration {
  return durationMs(one) >= durationMs(other) ? one : other;
}
