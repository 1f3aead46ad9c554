import type { EndpointConfig } from "../config/worker-config.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { traceIdEnd, traceIdStart } from "../http1/trace-context.ts";

/** One try to have a request answered. */
export interface LoggedAttempt {
  endpoint: EndpointConfig;
  startedAtMs: number;
  /** Until the answer's end, or until it was lost; below 0 while it goes on. */
  durationMs: number;
  /** "ok", or the RFC 9209 error type of what went wrong. */
  outcome: string;
}

/** Longer ones tell no more, and a line should stay short enough to be written whole. */
const userAgentMaxChars = 256;

/** What only the access log wants to know of a request; without a log, no exchange has one. */
export class LoggedRequest {
  userAgent = "";
  /** Of a valid traceparent; "" without. */
  traceId = "";
  durationMs = 0;
  /** How long it waited for its turn, where only so many requests may be under way. */
  queuedMs = 0;
  /** The first `attemptCount` of them are this request's; the others are of requests before, to be used again. */
  readonly attempts: LoggedAttempt[] = [];
  attemptCount = 0;

  begin(head: RequestHead, bytes: Buffer): void {
    const { fields, traceparentIndex } = head;
    const agentIndex = fields.indexOf("user-agent", bytes);
    if (agentIndex >= 0) {
      const start = fields.valueStart[agentIndex]!;
      const end = Math.min(fields.valueEnd[agentIndex]!, start + userAgentMaxChars);
      this.userAgent = bytes.toString("latin1", start, end);
    }
    if (traceparentIndex < 0) return;
    const start = fields.valueStart[traceparentIndex]!;
    this.traceId = bytes.toString("latin1", start + traceIdStart, start + traceIdEnd);
  }

  reset(): void {
    this.userAgent = "";
    this.traceId = "";
    this.queuedMs = 0;
    this.attemptCount = 0;
  }

  attemptStarted(endpoint: EndpointConfig, nowMs: number): void {
    if (this.attemptCount === this.attempts.length) {
      this.attempts.push({ endpoint, startedAtMs: nowMs, durationMs: -1, outcome: "" });
    } else {
      const attempt = this.attempts[this.attemptCount]!;
      attempt.endpoint = endpoint;
      attempt.startedAtMs = nowMs;
      attempt.durationMs = -1;
      attempt.outcome = "";
    }
    this.attemptCount++;
  }

  /** The newest attempt is over; nothing happens when it was before, or when there was none. */
  attemptEnded(outcome: string, nowMs: number): void {
    if (this.attemptCount === 0) return;
    const attempt = this.attempts[this.attemptCount - 1]!;
    if (attempt.durationMs >= 0) return;
    attempt.outcome = outcome;
    attempt.durationMs = nowMs - attempt.startedAtMs;
  }
}
