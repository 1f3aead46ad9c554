import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { RolloutStatusSchema, RolloutsAPI } from "../../../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import type { RolloutAdmin, RolloutStatus } from "../../rollout/rollout-admin.ts";
import type { Commanded } from "../../rollout/rollouts.ts";
import { toBadRequest } from "./to-connect-error.ts";

/** gRPC face of rollouts. Errors of each method: rollouts.proto. */
export function rolloutsRpc(rollouts: RolloutAdmin): ServiceImpl<typeof RolloutsAPI> {
  const answerOf = (commanded: Commanded) => {
    if (!commanded.ok) throw new ConnectError(commanded.problem, Code.FailedPrecondition);
    return { rollout: statusMessage(rollouts.status()) };
  };
  return {
    getRollout: () => ({ rollout: statusMessage(rollouts.status()) }),
    async *watchRollout(_request, { signal }) {
      for await (const status of watchStatus(rollouts, signal)) yield { rollout: statusMessage(status) };
    },
    pauseRollout: async () => answerOf(await rollouts.pause()),
    resumeRollout: async () => answerOf(await rollouts.resume()),
    promoteRollout: async () => answerOf(await rollouts.promote()),
    abortRollout: async ({ reason }) => answerOf(await rollouts.abort(reason)),
    getRolloutPolicy: () => ({ policy: rollouts.policy }),
    async setRolloutPolicy({ policy }) {
      const set = await rollouts.setPolicy(policy!);
      if (!set.ok)
        throw toBadRequest(
          set.problems.map(({ field, message }) => ({ field: `policy.${field}`, description: message })),
        );
      return { policy: set.value };
    },
  };
}

/** How it stands now, and whenever it stands otherwise. What changes while the watcher reads is told once. */
async function* watchStatus(rollouts: RolloutAdmin, signal: AbortSignal): AsyncGenerator<RolloutStatus> {
  let isNews = true;
  let wake = () => {};
  const onNews = () => {
    isNews = true;
    wake();
  };
  const stop = rollouts.onChange(onNews);
  signal.addEventListener("abort", onNews);
  try {
    for (let told = ""; ; ) {
      while (!isNews) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      signal.throwIfAborted();
      isNews = false;
      const status = rollouts.status();
      const text = JSON.stringify(status);
      if (text !== told) yield status;
      told = text;
    }
  } finally {
    stop();
    signal.removeEventListener("abort", onNews);
  }
}

function statusMessage(status: RolloutStatus): MessageInitShape<typeof RolloutStatusSchema> {
  const at = (unixMs: number | null) => (unixMs === null ? undefined : timestampFromMs(unixMs));
  return {
    number: BigInt(status.number),
    phase: status.phase,
    stage: status.stage,
    reachedNodeIds: [...status.reachedNodeIds],
    reachesAll: status.reachesAll,
    servingCount: status.servingCount,
    nodeCount: status.nodeCount,
    baselineRevision: BigInt(status.baselineRevision),
    baselinePublication: BigInt(status.baselinePublication),
    candidateRevision: BigInt(status.candidateRevision),
    candidatePublication: BigInt(status.candidatePublication),
    waitingFromRevision: BigInt(status.waitingFromRevision),
    beganAt: at(status.beganAtUnixMs),
    stageBeganAt: at(status.stageBeganAtUnixMs),
    endedAt: at(status.endedAtUnixMs),
    haltedBy: status.haltedBy,
    reason: status.reason,
    blamedNodeIds: [...status.blamedNodeIds],
    waitsFor: status.waitsFor,
  };
}
