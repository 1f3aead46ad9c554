import type { HealthFlip } from "./check-counts.ts";
import type { TrialOutcome } from "./trial-outcome.ts";

/** What a worker found out of an endpoint by the requests that it sent there. */
export type EndpointFinding =
  /** The worker took it out; the main thread decides when it comes back. */
  | {
      readonly type: "ejected";
      readonly poolKey: string;
      readonly endpointRow: number;
      readonly cause: string;
      /** What the endpoint asked for; 0 = nothing. */
      readonly retryAfterMs: number;
    }
  /** It is out, and got a request. */
  | {
      readonly type: "trial";
      readonly endpointRow: number;
      readonly outcome: TrialOutcome;
      readonly cause: string;
    }
  /** Passive checks have put it in or out. */
  | { readonly type: "health"; readonly endpointRow: number; readonly flip: HealthFlip; readonly cause: string };
