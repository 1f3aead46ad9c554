import type { EndpointConfig } from "../config/worker-config.ts";
import { isText } from "../http1/body-framing.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { traceIdEnd, traceIdStart } from "../http1/trace-context.ts";
import { escaped } from "./escaped.ts";
import { flat } from "./repeated-lines.ts";

/** One try to have a request answered. */
export interface LoggedAttempt {
  endpoint: EndpointConfig;
  startedAtMs: number;
  /** From the beginning until there was a connection; below 0 where one was kept, or none came about. */
  connectMs: number;
  /** From then on until the answer's head; below 0 without one. */
  waitMs: number;
  /** Of the answer; 0 without one. */
  status: number;
  /** Until the answer's end, or until it was lost; below 0 while it goes on. */
  durationMs: number;
  /** "ok", `status_503` of an answer that another was asked to better, or the RFC 9209 error type of what went wrong. */
  outcome: string;
}

/** Longer ones tell no more, and a line should stay short enough to be written whole. */
const userAgentMaxChars = 256;

/** Who asks, for what of whom: nearly the same for all requests of a connection. */
interface WhoAsks {
  readonly clientAddress: string;
  readonly method: { readonly name: string };
  readonly host: string;
}

/**
 * What only the access log wants to know of a request, and who asks for its attempts; without either, no exchange has
 * one.
 */
export class LoggedRequest {
  userAgent = "";
  /** What those of a connection's requests nearly always say alike, as text of the access line, and of what it is. */
  #beforePath = "";
  #client = "";
  #method = "";
  #host = "";
  #afterAttempts = "";
  #agent = "";
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
      const known = this.#agent;
      this.userAgent = isText(bytes, start, end, known) ? known : bytes.toString("latin1", start, end);
    }
    if (traceparentIndex < 0) return;
    const start = fields.valueStart[traceparentIndex]!;
    this.traceId = bytes.toString("latin1", start + traceIdStart, start + traceIdEnd);
  }

  /** The line from the request id to the path. */
  beforePath({ clientAddress, method, host }: WhoAsks): string {
    if (clientAddress !== this.#client || method.name !== this.#method || host !== this.#host) {
      this.#client = clientAddress;
      this.#method = method.name;
      this.#host = host;
      this.#beforePath = flat(
        `","client":"${escaped(clientAddress)}","method":"${method.name}","host":"${escaped(host)}","path":"`,
      );
    }
    return this.#beforePath;
  }

  /** The rest of the line, after the last attempt. */
  afterAttempts(failure: string): string {
    if (failure !== "" || this.traceId !== "")
      return `],"failure":"${failure}${traceText(this.traceId)}${agentText(this.userAgent)}`;
    if (this.userAgent !== this.#agent || this.#afterAttempts === "") {
      this.#agent = this.userAgent;
      this.#afterAttempts = flat(`],"failure":"${agentText(this.userAgent)}`);
    }
    return this.#afterAttempts;
  }

  reset(): void {
    this.userAgent = "";
    this.traceId = "";
    this.queuedMs = 0;
    this.attemptCount = 0;
  }

  attemptStarted(endpoint: EndpointConfig, nowMs: number): void {
    if (this.attemptCount === this.attempts.length) {
      const fresh = { connectMs: -1, waitMs: -1, status: 0, durationMs: -1, outcome: "" };
      this.attempts.push({ endpoint, startedAtMs: nowMs, ...fresh });
    } else {
      const attempt = this.attempts[this.attemptCount]!;
      attempt.endpoint = endpoint;
      attempt.startedAtMs = nowMs;
      attempt.connectMs = -1;
      attempt.waitMs = -1;
      attempt.status = 0;
      attempt.durationMs = -1;
      attempt.outcome = "";
    }
    this.attemptCount++;
  }

  /** The newest attempt has the connection that it was waiting for. */
  attemptConnected(nowMs: number): void {
    const attempt = this.attempts[this.attemptCount - 1]!;
    attempt.connectMs = nowMs - attempt.startedAtMs;
  }

  /** The newest attempt's answer has begun. */
  attemptAnswered(status: number, nowMs: number): void {
    const attempt = this.attempts[this.attemptCount - 1]!;
    attempt.status = status;
    attempt.waitMs = nowMs - attempt.startedAtMs - Math.max(attempt.connectMs, 0);
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

function traceText(traceId: string): string {
  return traceId === "" ? "" : `","trace_id":"${traceId}`;
}

function agentText(userAgent: string): string {
  return `","user_agent":"${escaped(userAgent)}"}\n`;
}
