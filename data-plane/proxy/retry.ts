import type { UpstreamLoss } from "../upstream/http1-client.ts";
import type { ProxyErrorName } from "./proxy-error.ts";

/** A lost attempt, as far as it decides what happens next. */
export interface LostAttempt {
  readonly loss: UpstreamLoss;
  /** The connection had carried an exchange before. */
  readonly isReused: boolean;
  readonly hasAnswerBytes: boolean;
  /** The request may be executed twice, and all of it that was sent can be sent again. */
  readonly mayRepeat: boolean;
  /** Attempts after the first, so far. */
  readonly extraAttempts: number;
  /** The service's limit for them. */
  readonly retries: number;
}

export type NextStep = "give_up" | "other_endpoint" | "fresh_connection";

/**
 * What follows a lost attempt. A request whose connection never came about was not sent, so any method goes
 * elsewhere. Once a byte may have been read by a server only requests that may be executed twice are sent again, and
 * none after the first byte of an answer.
 *
 * Source: RFC 9110 section 9.2.2, RFC 9112 section 9.3.1.
 */
export function nextStep(lost: LostAttempt): NextStep {
  const mayRetry = lost.extraAttempts < lost.retries;
  switch (lost.loss) {
    case "refused":
    case "unreachable":
    case "connect_timeout":
    case "tls_certificate":
    case "tls_protocol":
    case "tls_alert":
      return mayRetry ? "other_endpoint" : "give_up";
    case "closed":
    case "timeout":
    case "stalled":
      if (lost.hasAnswerBytes || !lost.mayRepeat) return "give_up";
      // An idle connection that the server closed just then says nothing about the server: not counted.
      if (lost.loss === "closed" && lost.isReused) return "fresh_connection";
      return mayRetry ? "other_endpoint" : "give_up";
    default:
      return "give_up";
  }
}

const errors: Readonly<Record<UpstreamLoss, ProxyErrorName>> = {
  refused: "connection_refused",
  unreachable: "destination_unroutable",
  connect_timeout: "connection_timeout",
  no_socket: "no_local_socket",
  tls_certificate: "tls_certificate",
  tls_protocol: "tls_protocol",
  tls_alert: "tls_alert",
  closed: "connection_terminated",
  timeout: "response_timeout",
  stalled: "response_timeout",
  bad_response: "bad_response",
  defect: "internal_error",
};

/** What the client is told when no attempt follows. */
export function errorOfLoss(loss: UpstreamLoss): ProxyErrorName {
  return errors[loss];
}

const handshakeFailures: ReadonlySet<UpstreamLoss> = new Set<UpstreamLoss>([
  "tls_certificate",
  "tls_protocol",
  "tls_alert",
]);
const connectFailures: ReadonlySet<UpstreamLoss> = new Set<UpstreamLoss>([
  "refused",
  "unreachable",
  "connect_timeout",
  ...handshakeFailures,
]);

/** Whether the endpoint was reached, and TLS with it did not come about. */
export function isHandshakeFailure(loss: UpstreamLoss): boolean {
  return handshakeFailures.has(loss);
}

/** Whether connecting failed, so that the endpoint should be taken out where that speaks against it. */
export function isConnectFailure(loss: UpstreamLoss): boolean {
  return connectFailures.has(loss);
}

/**
 * Whether an established connection was lost in a way that speaks against the endpoint. One that was kept may have been
 * closed for its age, just then: where the request can be sent once more, the fresh connection will tell; where it
 * cannot, it may be the next of many that are lost, and counts.
 */
export function isReset({ loss, isReused, hasAnswerBytes, mayRepeat }: LostAttempt): boolean {
  if (loss === "timeout" || loss === "bad_response") return true;
  return loss === "closed" && (!isReused || hasAnswerBytes || !mayRepeat);
}
