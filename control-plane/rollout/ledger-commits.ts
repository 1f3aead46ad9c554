import { isDeepStrictEqual } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { NodeIdentitySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import {
  RolloutMode,
  RolloutOrderSchema,
  type RolloutPolicy,
  RolloutPolicySchema,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Change, Commit } from "../store/store.ts";
import { HELD_KINDS, LIVE_KINDS } from "./frozen-content.ts";
import type { LedgerCommit, Mode } from "./publication-ledger.ts";

/** What the ledger has to know of a commit. */
export function ledgerCommit({ revision, publication, changes }: Commit): LedgerCommit {
  const last = (kind: Change["kind"]) => changes.findLast((change) => change.kind === kind)?.after ?? null;
  const order = last("rollout_order");
  const policy = last("rollout_policy");
  const rollout = last("rollout");
  return {
    revision,
    publication,
    hasContent: changes.some(({ kind }) => HELD_KINDS.includes(kind)),
    hasLive: changes.some((change) => LIVE_KINDS.has(change.kind) || change.kind === "quarantine" || isMove(change)),
    order: order === null ? null : modeOf(fromBinary(RolloutOrderSchema, order).mode),
    mode: policy === null ? null : modeOfPolicy(fromBinary(RolloutPolicySchema, policy)),
    rollout: rollout === null ? null : fromBinary(RolloutSchema, rollout),
  };
}

/** A node has other labels: what it is to get now, it must not get under the number of what it has. */
function isMove({ kind, before, after }: Change): boolean {
  return kind === "node_identity" && !isDeepStrictEqual(labelsIn(before), labelsIn(after));
}

function labelsIn(body: Uint8Array | null): Record<string, string> {
  return body === null ? {} : { ...fromBinary(NodeIdentitySchema, body).labels };
}

export function modeOfPolicy(policy: RolloutPolicy | undefined): Mode {
  return modeOf(policy?.mode ?? RolloutMode.IMMEDIATE) ?? "immediate";
}

function modeOf(mode: RolloutMode): Mode | null {
  if (mode === RolloutMode.STAGED) return "staged";
  return mode === RolloutMode.IMMEDIATE ? "immediate" : null;
}
