import type { StopReason } from "./ack-state.ts";

/** What a node's condition adds up to; what each means is said in nodes.proto. */
export type NodeState = "in_sync" | "lagging" | "disconnected" | "stale";

export interface NodeCondition {
  readonly isConnected: boolean;
  readonly connectedAtUnixMs: number;
  readonly lastSeenAtUnixMs: number;
  readonly stop: StopReason | null;
  /** The node's publication; null when it serves nothing, or something of an earlier store. */
  readonly publication: number | null;
  readonly newestPublication: number;
  /** Since when there has been something newer than that; null when there is nothing. */
  readonly behindSinceUnixMs: number | null;
  /** The publication that it refused last, and why; null when it refused none. */
  readonly refused: { readonly publication: number; readonly message: string } | null;
}

export interface JudgedNode {
  readonly state: NodeState;
  /** In one sentence; empty when in sync. */
  readonly reason: string;
  /** For how long there has been something newer; null when there is nothing newer. */
  readonly lagMs: number | null;
}

/** @param staleAfterMs of being behind, or away */
export function judgeNode(condition: NodeCondition, nowUnixMs: number, staleAfterMs: number): JudgedNode {
  const sinceUnixMs = lagSince(condition);
  const lagMs = sinceUnixMs === null ? null : Math.max(0, nowUnixMs - sinceUnixMs);
  if (!condition.isConnected) {
    const awayMs = Math.max(0, nowUnixMs - condition.lastSeenAtUnixMs);
    const reason = `not connected; heard of ${seconds(awayMs)} ago`;
    return { state: awayMs > staleAfterMs ? "stale" : "disconnected", reason, lagMs };
  }
  if (lagMs === null) return { state: "in_sync", reason: "", lagMs };
  return { state: lagMs > staleAfterMs ? "stale" : "lagging", reason: whyBehind(condition, lagMs), lagMs };
}

function lagSince(condition: NodeCondition): number | null {
  const { stop, publication, connectedAtUnixMs, newestPublication, behindSinceUnixMs } = condition;
  // What it serves is not to be compared: it has been so at least since it came.
  if (stop !== null || publication === null) return connectedAtUnixMs;
  return publication < newestPublication ? (behindSinceUnixMs ?? connectedAtUnixMs) : null;
}

function whyBehind({ stop, publication, newestPublication, refused }: NodeCondition, lagMs: number): string {
  if (stop !== null || (refused !== null && refused.publication === newestPublication)) {
    return refused?.message ?? `nothing is pushed to it: ${stop}`;
  }
  if (publication === null) return "it serves nothing of this store yet";
  return `${newestPublication - publication} publications behind for ${seconds(lagMs)}`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1_000)} s`;
}
