import type { OutlierPolicy, RetryPolicy, StallPolicy } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import type { Healthchecks, Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import {
  defaultResilience,
  type OutlierConfig,
  type ResilienceConfig,
  type RetryBudgetConfig,
  type RetryConfig,
  type StallConfig,
} from "../config/resilience-config.ts";
import { compilePanic } from "./compile-panic.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { timeoutMessage, wholeMs } from "./whole-ms.ts";

/**
 * What an upstream's nodes go by when endpoints fail: our defaults, what `resilience` says instead, and Kong's counters
 * that are not 0, each in the place of the default that does the same.
 */
export function compileResilience({ resilience, healthchecks }: Upstream): Compiled<ResilienceConfig> {
  const retry = compileRetry(resilience?.retry, "resilience.retry");
  if (!retry.ok) return retry;
  const budget = compileBudget(resilience?.retry);
  if (!budget.ok) return budget;
  const outlier = compileOutlier(resilience?.outlier, healthchecks);
  if (!outlier.ok) return outlier;
  const stall = compileStall(resilience?.stall, healthchecks);
  if (!stall.ok) return stall;
  const panic = compilePanic({ resilience, healthchecks });
  if (!panic.ok) return panic;
  return compiled({
    retry: { ...defaultResilience.retry, ...retry.value },
    budget: budget.value,
    outlier: outlier.value,
    stall: stall.value,
    panic: panic.value,
  });
}

/** The fields that are set, and no others. @param path of the policy, for messages */
export function compileRetry(policy: RetryPolicy | undefined, path: string): Compiled<Partial<RetryConfig>> {
  if (policy === undefined) return compiled({});
  const { statuses, methods, bodyMaxBytes } = policy;
  for (const [i, status] of statuses.entries()) {
    const isRetryable = status === 429 || (status >= 500 && status <= 599);
    if (!isRetryable) return invalid(`${path}.statuses[${i}]`, `${status} is neither 429 nor between 500 and 599`);
  }
  const perTryTimeoutMs = policy.perTryTimeout === undefined ? undefined : wholeMs(policy.perTryTimeout);
  if (perTryTimeoutMs === null) return invalid(`${path}.per_try_timeout`, timeoutMessage);
  if (bodyMaxBytes !== undefined && !(bodyMaxBytes >= 0 && bodyMaxBytes <= 1_048_576)) {
    return invalid(`${path}.body_max_bytes`, "must be between 0 and 1048576");
  }
  return compiled({
    ...(policy.enabled === undefined ? {} : { isEnabled: policy.enabled }),
    ...(statuses.length === 0 ? {} : { statuses }),
    ...(methods.length === 0 ? {} : { methods }),
    ...(policy.idempotencyKey === undefined ? {} : { takesIdempotencyKey: policy.idempotencyKey }),
    ...(perTryTimeoutMs === undefined ? {} : { perTryTimeoutMs }),
    ...(bodyMaxBytes === undefined ? {} : { bodyMaxBytes }),
  });
}

function compileBudget(policy: RetryPolicy | undefined): Compiled<RetryBudgetConfig> {
  const ratio = policy?.budgetRatio ?? defaultResilience.budget.ratio;
  if (!(ratio >= 0 && ratio <= 100)) return invalid("resilience.retry.budget_ratio", "must be between 0 and 100");
  const minPerSecond = policy?.budgetMinPerSecond ?? defaultResilience.budget.minPerSecond;
  if (minPerSecond < 0) return invalid("resilience.retry.budget_min_per_second", "must be at least 0");
  return compiled({ ratio, minPerSecond });
}

function compileOutlier(
  policy: OutlierPolicy | undefined,
  healthchecks: Healthchecks | undefined,
): Compiled<OutlierConfig | null> {
  const path = "resilience.outlier";
  if (policy?.enabled === false) return compiled(null);
  const kong = healthchecks?.passive?.unhealthy;
  const defaults = defaultResilience.outlier!;
  const baseEjectionMs = policy?.baseEjection === undefined ? defaults.baseEjectionMs : wholeMs(policy.baseEjection);
  if (baseEjectionMs === null) return invalid(`${path}.base_ejection`, timeoutMessage);
  const maxEjectionMs = policy?.maxEjection === undefined ? defaults.maxEjectionMs : wholeMs(policy.maxEjection);
  if (maxEjectionMs === null) return invalid(`${path}.max_ejection`, timeoutMessage);
  const maxEjectedPercent = policy?.maxEjectedPercent ?? defaults.maxEjectedPercent;
  if (!(maxEjectedPercent >= 0 && maxEjectedPercent <= 100)) {
    return invalid(`${path}.max_ejected_percent`, "must be between 0 and 100");
  }
  // A count of Kong's that is set says when: ours must not be faster.
  const byTcp = kong?.tcpFailures || null;
  const byStatus = kong?.httpFailures || null;
  return compiled({
    ejectsRefusing: byTcp === null,
    consecutiveResets: policy?.consecutiveResets ?? (byTcp === null ? defaults.consecutiveResets : 0),
    consecutiveStatuses: policy?.consecutiveStatuses ?? (byStatus === null ? defaults.consecutiveStatuses : 0),
    baseEjectionMs,
    maxEjectionMs: Math.max(maxEjectionMs, baseEjectionMs),
    maxEjectedPercent,
  });
}

function compileStall(
  policy: StallPolicy | undefined,
  healthchecks: Healthchecks | undefined,
): Compiled<StallConfig | null> {
  if (policy?.enabled === false) return compiled(null);
  if (policy === undefined && healthchecks?.passive?.unhealthy?.timeouts) return compiled(null);
  const { minSilenceMs, factor } = defaultResilience.stall!;
  const silenceMs = policy?.minSilence === undefined ? minSilenceMs : wholeMs(policy.minSilence);
  if (silenceMs === null) return invalid("resilience.stall.min_silence", timeoutMessage);
  const times = policy?.factor ?? factor;
  if (!(times >= 1 && times <= 1_000)) return invalid("resilience.stall.factor", "must be between 1 and 1000");
  return compiled({ minSilenceMs: silenceMs, factor: times });
}
