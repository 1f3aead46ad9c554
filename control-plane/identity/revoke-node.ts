import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { NodeIdentitySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import { identityWrite } from "./certify-node.ts";

const triesMax = 5;
/** Who the change log names. */
const actor = "node-revocation";

/**
 * Revokes a node, known or not; the gate ends its stream with the commit. The first revocation counts.
 * Returns when it was revoked. Errors: rejects when the store does not take it.
 */
export async function revokeNode(
  store: Pick<Store, "image" | "transact">,
  clock: Pick<Clock, "unixMs">,
  nodeId: string,
  reason: string,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    const known = store.image.get("node_identity", nodeId);
    if (known?.message.revokedAt !== undefined) return timestampMs(known.message.revokedAt);
    const nowMs = clock.unixMs();
    const revoked = create(NodeIdentitySchema, {
      ...(known?.message ?? { id: nodeId }),
      revokedAt: timestampFromMs(nowMs),
      revokedReason: reason,
    });
    const outcome = await store.transact([identityWrite(revoked, known)], actor);
    if (outcome.ok) return nowMs;
    if (outcome.conflict.type === "unavailable" || tries === triesMax)
      throw new Error(`the revocation could not be stored: ${outcome.conflict.type}`);
  }
}

/**
 * Takes back the revocation of a node whose certificates come from elsewhere.
 * "certified_here": the key that was revoked may be in wrong hands, and a token for its id makes it get another one.
 */
export async function restoreNode(
  store: Pick<Store, "image" | "transact">,
  nodeId: string,
): Promise<"restored" | "not_revoked" | "certified_here"> {
  const known = store.image.get("node_identity", nodeId);
  if (known?.message.revokedAt === undefined) return "not_revoked";
  if (known.message.keyHash.length > 0) return "certified_here";
  const write = identityWrite(known.message, known);
  const outcome = await store.transact([{ ...write, operation: "delete", body: new Uint8Array() }], actor);
  if (!outcome.ok) throw new Error(`the node could not be restored: ${outcome.conflict.type}`);
  return "restored";
}
