import { fromBinary } from "@bufbuild/protobuf";
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
    hasLive: changes.some(({ kind }) => LIVE_KINDS.has(kind)),
    order: order === null ? null : modeOf(fromBinary(RolloutOrderSchema, order).mode),
    mode: policy === null ? null : modeOfPolicy(fromBinary(RolloutPolicySchema, policy)),
    rollout: rollout === null ? null : fromBinary(RolloutSchema, rollout),
  };
}

export function modeOfPolicy(policy: RolloutPolicy | undefined): Mode {
  return modeOf(policy?.mode ?? RolloutMode.IMMEDIATE) ?? "immediate";
}

function modeOf(mode: RolloutMode): Mode | null {
  if (mode === RolloutMode.STAGED) return "staged";
  return mode === RolloutMode.IMMEDIATE ? "immediate" : null;
}
