import { type ProbeConfig, StatusKind, type StatusKinds } from "../config/health-check-config.ts";
import type { CheckReport } from "./check-counts.ts";

/** What a probe met. */
export type ProbeOutcome =
  /** There was a connection, and that was all that was asked. */
  | { readonly type: "connected" }
  /** @param hasText whether the body contains what it should; true where nothing was looked for */
  | { readonly type: "status"; readonly status: number; readonly hasText: boolean }
  | { readonly type: "serving" }
  /** It answered, and not as it should. */
  | { readonly type: "bad_answer"; readonly problem: string }
  /** No connection, or one that ended before the answer. */
  | { readonly type: "failed"; readonly problem: string }
  | { readonly type: "timeout" };

export interface ProbeVerdict {
  /** null = the answer says nothing, for or against. */
  readonly report: CheckReport | null;
  /** For people. */
  readonly reason: string;
}

/** What an outcome says of an endpoint, by the rules of one of the pools that it was sent for. */
export function judgeProbe(
  outcome: ProbeOutcome,
  { method, path, bodyContains, timeoutMs }: ProbeConfig,
  kinds: StatusKinds,
): ProbeVerdict {
  switch (outcome.type) {
    case "connected":
      return { report: "success", reason: "the probe connected" };
    case "serving":
      return { report: "success", reason: "the probe was answered with SERVING" };
    case "bad_answer":
      return { report: "http_failure", reason: `the probe was answered with ${outcome.problem}` };
    case "failed":
      return { report: "tcp_failure", reason: `the probe failed: ${outcome.problem}` };
    case "timeout":
      return { report: "timeout", reason: `the probe had no answer within ${timeoutMs} ms` };
    case "status": {
      const reason = `${method} ${path} was answered with ${outcome.status}`;
      const kind = kinds[outcome.status];
      if (kind === StatusKind.Bad) return { report: "http_failure", reason };
      if (kind !== StatusKind.Good) return { report: null, reason: `${reason}, which is on neither list` };
      if (outcome.hasText) return { report: "success", reason };
      return { report: "http_failure", reason: `${reason} without the text ${JSON.stringify(bodyContains)}` };
    }
  }
}
