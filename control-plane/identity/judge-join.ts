import { timingSafeEqual } from "node:crypto";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JoinToken, NodeIdentity } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";

/** A node that wants its first certificate. */
export interface JoinAttempt {
  readonly nodeId: string;
  readonly secretHash: Uint8Array;
  /** Of the key that it asks a certificate for. */
  readonly keyHash: Uint8Array;
}

export type JoinReason = "token" | "duplicate" | "revoked" | "revoked_key";

export type JudgedJoin =
  /** Repeated: the same node with the same key, whose first answer may have got lost. */
  | { readonly ok: true; readonly isRepeated: boolean }
  | { readonly ok: false; readonly reason: JoinReason; readonly cause: string };

/**
 * Whether a node may join.
 * @param token the one that it names, if there is such a one
 * @param identity what is known of its id
 */
export function judgeJoin(
  attempt: JoinAttempt,
  token: JoinToken | undefined,
  identity: NodeIdentity | undefined,
  nowMs: number,
): JudgedJoin {
  const problem = tokenProblem(attempt, token, nowMs);
  if (problem !== null) return { ok: false, reason: "token", cause: problem };
  const judged = judgeIdentity(attempt, token!, identity);
  return judged ?? { ok: true, isRepeated: token!.usedAt !== undefined };
}

/** Of a token that is there only its owner learns anything: the secret is looked at first. */
function tokenProblem(attempt: JoinAttempt, token: JoinToken | undefined, nowMs: number): string | null {
  const wanted = token?.secretHash ?? new Uint8Array(32);
  if (!isSame(attempt.secretHash, wanted) || token === undefined)
    return "the join token is unknown: it was taken back, or is of another control plane";
  const { usedAt, usedBy, usedKeyHash, nodeId } = token;
  if (usedAt !== undefined && (usedBy !== attempt.nodeId || !isSame(usedKeyHash, attempt.keyHash)))
    return `the join token was used already, by node ${usedBy} at ${isoTime(timestampMs(usedAt))}`;
  const expiresAtMs = timestampMs(token.expiresAt!);
  if (nowMs >= expiresAtMs) return `the join token expired at ${isoTime(expiresAtMs)}`;
  return nodeId === "" || nodeId === attempt.nodeId ? null : `the join token is for node ${nodeId} only`;
}

function judgeIdentity(
  { nodeId, keyHash }: JoinAttempt,
  token: JoinToken,
  identity: NodeIdentity | undefined,
): JudgedJoin | null {
  if (identity === undefined) return null;
  const isSameKey = isSame(identity.keyHash, keyHash);
  const isForThisNode = token.nodeId === nodeId;
  if (identity.revokedAt !== undefined) {
    // Who makes a token for a revoked node wants it back; a token from before the revocation says nothing of the kind.
    if (!isForThisNode || timestampMs(identity.revokedAt) > timestampMs(token.createdAt!))
      return { ok: false, reason: "revoked", cause: `node ${nodeId} was revoked: it needs a new token for its id` };
    if (isSameKey)
      return { ok: false, reason: "revoked_key", cause: `this key of node ${nodeId} was revoked: it needs a new one` };
    return null;
  }
  if (isSameKey || isForThisNode) return null;
  const cause = `another key has joined as node ${nodeId}: give this node an id of its own, or a token for this id`;
  return { ok: false, reason: "duplicate", cause };
}

/** In constant time for hashes, all of one length. */
function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
