import { tenths } from "./access-line.ts";
import type { LoggedRequest } from "./logged-request.ts";
import { addressText } from "./traffic-metrics.ts";

/** More are told of in the access log. */
const toldMaxCount = 50;

/**
 * The header line that tells a trusted client of a request's attempts so far, in their order: a list of strings, the
 * addresses, with `status` or `error` (an RFC 9209 error type), and milliseconds: `ms` in all, `connect` where a
 * connection had to be made, `wait` from there to the answer's head. `none` where nobody was asked.
 *
 * Source: RFC 9651 for the form.
 * @param failure how an attempt ends that has not ended yet and has no answer
 */
export function attemptsLine({ attempts, attemptCount }: LoggedRequest, failure: string, nowMs: number): string {
  if (attemptCount === 0) return "Penstock-Attempts: none\r\n";
  const told: string[] = [];
  for (let i = 0; i < Math.min(attemptCount, toldMaxCount); i++) {
    const { endpoint, status, outcome, startedAtMs, durationMs, connectMs, waitMs } = attempts[i]!;
    const ms = durationMs < 0 ? nowMs - startedAtMs : durationMs;
    told.push(
      `"${addressText(endpoint.address, endpoint.port)}"` +
        (isLost(status, outcome) ? `;error=${outcome || failure}` : `;status=${status}`) +
        `;ms=${tenths(ms)}` +
        (connectMs < 0 ? "" : `;connect=${tenths(connectMs)}`) +
        (waitMs < 0 ? "" : `;wait=${tenths(waitMs)}`),
    );
  }
  return `Penstock-Attempts: ${told.join(", ")}\r\n`;
}

/** Also what had begun to answer, and was lost before any of that went to the client. */
function isLost(status: number, outcome: string): boolean {
  return status === 0 || (outcome !== "" && outcome !== "ok" && !outcome.startsWith("status_"));
}

/** The same head with that line. @param answerHead with its empty line */
export function withAttempts(answerHead: string, line: string): string {
  return `${answerHead.slice(0, -2)}${line}\r\n`;
}
