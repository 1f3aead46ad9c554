/** How a request to an endpoint that is out ended: it answered well, or did not, or nobody can say. */
export type TrialOutcome = "passed" | "failed" | "unclear";
