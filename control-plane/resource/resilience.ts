import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type OutlierPolicy,
  type ProbePolicy,
  type Resilience,
  ResilienceSchema,
  type RetryPolicy,
  RetryPolicySchema,
  type StallPolicy,
} from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import type { Problem } from "./checked.ts";
import { checkText, checkTexts, checkWholeMs, invalid } from "./problems.ts";
import { distinct } from "./resource-rules.ts";
import type { TextRule } from "./text-rules.ts";
import { withoutEmptyRecords } from "./without-empty-records.ts";

/** What the proto's rules cannot say of an upstream's resilience. */
export function checkResilience(field: string, resilience: Resilience | undefined): readonly Problem[] {
  if (resilience === undefined) return [];
  return [
    ...checkRetryPolicy(`${field}.retry`, resilience.retry),
    ...checkOutlierPolicy(`${field}.outlier`, resilience.outlier),
    ...checkStallPolicy(`${field}.stall`, resilience.stall),
    ...checkProbePolicy(`${field}.probe`, resilience.probe),
  ];
}

/** The same of a route's retries. They draw on the budget of the upstream, which a route cannot widen. */
export function checkRouteRetry(field: string, retry: RetryPolicy | undefined): readonly Problem[] {
  if (retry === undefined) return [];
  const ofUpstream = "cannot be set on a route: the budget is the upstream's";
  return [
    ...checkRetryPolicy(field, retry),
    ...(retry.budgetRatio === undefined ? [] : [invalid(`${field}.budget_ratio`, ofUpstream)]),
    ...(retry.budgetMinPerSecond === undefined ? [] : [invalid(`${field}.budget_min_per_second`, ofUpstream)]),
  ];
}

function checkRetryPolicy(field: string, retry: RetryPolicy | undefined): readonly Problem[] {
  if (retry === undefined) return [];
  const statusProblems = retry.statuses.flatMap((status, i) =>
    status === 429 || (status >= 500 && status <= 599)
      ? []
      : [invalid(`${field}.statuses.${i}`, "expected 429 or a status from 500 to 599")],
  );
  return [
    ...statusProblems,
    ...checkTexts(`${field}.methods`, retry.methods, checkMethod),
    ...checkWholeMs(`${field}.per_try_timeout`, retry.perTryTimeout),
  ];
}

function checkOutlierPolicy(field: string, outlier: OutlierPolicy | undefined): readonly Problem[] {
  if (outlier === undefined) return [];
  const { baseEjection, maxEjection } = outlier;
  // Where one of them is not set, the nodes make the longest as long as the first.
  const isTurnedRound =
    baseEjection !== undefined && maxEjection !== undefined && durationMs(baseEjection) > durationMs(maxEjection);
  return [
    ...checkWholeMs(`${field}.base_ejection`, baseEjection),
    ...checkWholeMs(`${field}.max_ejection`, maxEjection),
    ...(isTurnedRound ? [invalid(`${field}.max_ejection`, "must not be below base_ejection")] : []),
  ];
}

function checkStallPolicy(field: string, stall: StallPolicy | undefined): readonly Problem[] {
  return checkWholeMs(`${field}.min_silence`, stall?.minSilence);
}

function checkProbePolicy(field: string, probe: ProbePolicy | undefined): readonly Problem[] {
  if (probe === undefined) return [];
  const hasNoBody = probe.method === "HEAD" && probe.bodyContains !== undefined;
  return [
    ...checkText(`${field}.method`, probe.method, checkMethod),
    ...checkTexts(`${field}.status_ranges`, probe.statusRanges, checkStatusRange),
    ...(hasNoBody ? [invalid(`${field}.body_contains`, "the answer to HEAD has no body")] : []),
  ];
}

/** A method: an HTTP token (RFC 9110 section 5.6.2). They are case-sensitive, and a lower-case one is a mistake. */
export const checkMethod: TextRule = (method) =>
  /^[!#$%&'*+\-.^_`|~0-9A-Z]+$/.test(method)
    ? null
    : `invalid value: ${method} (expected an HTTP method in upper case, such as GET)`;

/** "204" or "200-399". */
export const checkStatusRange: TextRule = (range) => {
  const [, from, to = from] = /^([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?$/.exec(range) ?? [];
  if (from === undefined)
    return `invalid status range: '${range}' (expected a status or two from 100 to 999, such as 204 or 200-399)`;
  return Number(from) <= Number(to) ? null : `invalid status range: '${range}' (its end is before its start)`;
};

/** The form in which a resilience is stored: lists without repeats, and no record in which nothing is said. */
export function normalizeResilience(resilience: Resilience | undefined): Resilience | undefined {
  if (resilience === undefined) return undefined;
  const { retry, probe } = resilience;
  return withoutEmptyRecords(ResilienceSchema, {
    ...resilience,
    ...(retry === undefined ? {} : { retry: distinctRetry(retry) }),
    ...(probe === undefined ? {} : { probe: { ...probe, statusRanges: distinct(probe.statusRanges) } }),
  });
}

/** The same of a route's retries. */
export function normalizeRetry(retry: RetryPolicy | undefined): RetryPolicy | undefined {
  return retry === undefined ? undefined : withoutEmptyRecords(RetryPolicySchema, distinctRetry(retry));
}

function distinctRetry(retry: RetryPolicy): RetryPolicy {
  return { ...retry, statuses: distinct(retry.statuses), methods: distinct(retry.methods) };
}
