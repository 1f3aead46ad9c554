/** What one probe, or one proxied request, says of an endpoint. */
export type CheckReport = "success" | "http_failure" | "tcp_failure" | "timeout";

/** What an endpoint has become by a report. */
export type HealthFlip = "unhealthy" | "healthy";

/** An endpoint's counters after a report that was counted. */
export interface Counted {
  readonly counts: number;
  readonly flip: HealthFlip | null;
}

const countMask = 0xff;
const successMask = countMask;
const failuresMask = ~successMask;

const shifts: Readonly<Record<CheckReport, number>> = { success: 0, http_failure: 8, tcp_failure: 16, timeout: 24 };

/**
 * The state machine of health checks, Kong's to the letter: of each kind of report there is a counter of eight bits; a
 * success clears the three of failures, any failure clears only that of successes; a counter that reaches its threshold
 * puts the endpoint in or out. Reports that only repeat what is fully so are not counted, and neither are those of a
 * kind whose threshold is 0.
 *
 * The four counters are one word, so that threads can exchange it by compare-and-swap: bits 0 to 7 are successes, 8 to
 * 15 failing statuses, 16 to 23 failed connections, 24 to 31 timeouts. It is 0 where an endpoint is fully in or fully
 * out; what was counted until then decides nothing any more.
 *
 * @param counts as they are
 * @param isOut whether health checks have taken the endpoint out
 * @param threshold of this kind of report, by whoever reports
 * @returns null when the report is not counted
 */
export function countReport(counts: number, isOut: boolean, report: CheckReport, threshold: number): Counted | null {
  const isSuccess = report === "success";
  if (threshold === 0 || (counts === 0 && isSuccess !== isOut)) return null;
  const shift = shifts[report];
  const count = Math.min(((counts >>> shift) & countMask) + 1, countMask);
  if (count >= threshold) return { counts: 0, flip: isSuccess === isOut ? (isOut ? "healthy" : "unhealthy") : null };
  const kept = counts & (isSuccess ? successMask : failuresMask) & ~(countMask << shift);
  return { counts: kept | (count << shift), flip: null };
}
