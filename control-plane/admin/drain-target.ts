import type { Applied, Fleet, NodeAnswer } from "../sync/fleet.ts";

export const drainMaxMs = 60 * 60 * 1_000;

/** Only a target that gets no requests any more can run dry. */
export const drainNeedsWeight0 = "drain needs weight 0 in the body: with any other weight the target gets new requests";

/** Time beyond the drain's for a node's answer to come back. */
const answerGraceMs = 2_000;

/** A write that has taken a target out of use. */
export interface DrainedWrite {
  readonly revision: number;
  readonly upstreamId: string;
  /** host:port, as it was stored. */
  readonly target: string;
  /** For the write and what follows on it. */
  readonly drainMs: number;
  /** When that began, by the clock. */
  readonly startMs: number;
}

/** A node on which requests are under way, or which cannot tell. */
export interface Unfinished {
  readonly nodeId: string;
  readonly hostname: string;
  readonly inFlight: number | null;
  readonly problem: string | null;
}

export type Drained =
  /** Of a change that most nodes do not have yet, nothing can be said of what it ends. */
  | { readonly isHeldBack: true; readonly heldBack: NonNullable<Applied["heldBack"]> }
  | {
      readonly isHeldBack: false;
      readonly applied: Applied;
      /** Nodes that were asked. */
      readonly askedCount: number;
      readonly unfinished: readonly Unfinished[];
    };

/**
 * Waits until no node has a request under way at a target that gets no new ones, or the time is over.
 * Errors: rejects with the signal's reason.
 * @param signal the caller has gone
 */
export async function drainTarget(
  fleet: Pick<Fleet, "waitForRevision" | "ask">,
  clock: { monotonicMs(): number },
  { revision, upstreamId, target, drainMs, startMs }: DrainedWrite,
  signal?: AbortSignal,
): Promise<Drained> {
  const applied = await fleet.waitForRevision(revision, { who: "all", timeoutMs: drainMs, signal });
  signal?.throwIfAborted();
  if (applied.heldBack !== undefined) return { isHeldBack: true, heldBack: applied.heldBack };
  const timeoutMs = Math.max(1, Math.ceil(drainMs - (clock.monotonicMs() - startMs)));
  const answers = await fleet.ask({
    kind: "drained",
    body: Buffer.from(JSON.stringify({ upstreamId, target, timeoutMs })),
    revision,
    timeoutMs: timeoutMs + answerGraceMs,
    signal,
  });
  signal?.throwIfAborted();
  return { isHeldBack: false, applied, askedCount: answers.length, unfinished: answers.flatMap(unfinishedOf) };
}

/** What to say where some node is not done. @param drain the time, as it was asked for */
export function notDrained(drain: string): string {
  return `the target gets no new requests, but after ${drain} not every node says that all old ones have ended`;
}

function unfinishedOf({ nodeId, hostname, answered }: NodeAnswer): readonly Unfinished[] {
  const inFlight = answered.ok ? inFlightOf(answered.body) : null;
  if (inFlight === 0) return [];
  const problem = answered.ok ? (inFlight === null ? "its answer is none" : null) : answered.problem;
  return [{ nodeId, hostname, inFlight, problem }];
}

/** Null for what is no answer. */
function inFlightOf(body: Uint8Array): number | null {
  try {
    const { inFlight } = JSON.parse(Buffer.from(body).toString()) as { readonly inFlight?: unknown };
    return Number.isSafeInteger(inFlight) && (inFlight as number) >= 0 ? (inFlight as number) : null;
  } catch {
    return null;
  }
}
