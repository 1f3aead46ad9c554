import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type RolloutStatus, RolloutsAPI } from "../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { RolloutMode, RolloutPhase, RolloutStageSchema } from "../proto/gen/penstock/config/v1/rollout_pb.ts";
import { askControlPlane } from "./ask-control-plane.ts";
import { type PolicyChanges, parseRolloutOptions, type RolloutCommand } from "./rollout-options.ts";
import { policyReport, rolloutReport } from "./rollout-report.ts";

/**
 * `penstock rollout`: shows and commands how changes reach the fleet.
 * Exit codes: 0 done, 1 for a status that is halted, 2 for what the user can put right.
 */
export async function rollout(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  await askControlPlane("rollout", parseRolloutOptions(argv, env), (command, transport) =>
    run(command, createClient(RolloutsAPI, transport)),
  );
}

async function run(command: RolloutCommand, client: Client<typeof RolloutsAPI>): Promise<void> {
  if (command.name === "policy") {
    process.stdout.write(policyReport(await changePolicy(command.changes, client)));
    return;
  }
  if (command.name === "status" && command.watches) {
    for await (const { rollout } of client.watchRollout({})) process.stdout.write(`${rolloutReport(rollout!)}\n`);
    return;
  }
  const status = await commanded(command, client);
  process.stdout.write(rolloutReport(status));
  if (command.name === "status" && status.phase === RolloutPhase.HALTED) process.exitCode = 1;
}

async function commanded(command: RolloutCommand, client: Client<typeof RolloutsAPI>): Promise<RolloutStatus> {
  const calls = {
    status: () => client.getRollout({}),
    pause: () => client.pauseRollout({}),
    resume: () => client.resumeRollout({}),
    promote: () => client.promoteRollout({}),
    abort: () => client.abortRollout({ reason: command.name === "abort" ? command.reason : "" }),
    policy: () => client.getRollout({}),
  };
  return (await calls[command.name]()).rollout!;
}

/** What is not set stays. */
async function changePolicy(changes: PolicyChanges, client: Client<typeof RolloutsAPI>) {
  const { policy: before } = await client.getRolloutPolicy({});
  if (Object.keys(changes).length === 0) return before!;
  const { mode, stages, soakMs, applyTimeoutMs, errorShareTolerance, requestMinCount } = changes;
  const modes = { staged: RolloutMode.STAGED, immediate: RolloutMode.IMMEDIATE };
  const { policy } = await client.setRolloutPolicy({
    policy: {
      ...before!,
      ...(mode === undefined ? {} : { mode: modes[mode] }),
      ...(stages === undefined ? {} : { stages: stages.map((stage) => create(RolloutStageSchema, stage)) }),
      ...(soakMs === undefined ? {} : { soak: durationFromMs(soakMs) }),
      ...(applyTimeoutMs === undefined ? {} : { applyTimeout: durationFromMs(applyTimeoutMs) }),
      ...(errorShareTolerance === undefined ? {} : { errorShareTolerance }),
      ...(requestMinCount === undefined ? {} : { requestMinCount: BigInt(requestMinCount) }),
    },
  });
  return policy!;
}
