import { create, fromBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { RolloutDriver } from "../../control-plane/rollout/rollout-driver.ts";
import {
  RolloutMode,
  RolloutPhase,
  RolloutPolicySchema,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { SimulatedCommit } from "./simulated-store.ts";
import type { Random } from "./simulated-time.ts";
import type { SimulationCounts } from "./simulation-counts.ts";

function policy(mode: RolloutMode) {
  const times = { soak: durationFromMs(300), applyTimeout: durationFromMs(3_000) };
  return create(RolloutPolicySchema, { mode, stages: [{ nodeCount: 1 }, { percent: 70 }], ...times });
}

/** A decision that the store does not take is taken again by whoever wants it. */
function asked(command: Promise<unknown>): void {
  command.catch(() => {});
}

/** One thing that somebody does about rollouts, at any time. @param put writes a change */
export function strikeRollout(
  driver: RolloutDriver,
  random: Random,
  put: (order: "staged" | "immediate") => void,
): void {
  const { rollouts } = driver;
  const chance = random();
  // Without any policy a stage would be watched for a minute.
  if (rollouts.ledger.rollout === null) asked(rollouts.setPolicy(policy(RolloutMode.IMMEDIATE)));
  else if (chance < 0.5) asked(rollouts.ensureRecord().then(() => put("staged")));
  else if (chance < 0.58) put("immediate");
  else if (chance < 0.66) asked(rollouts.setPolicy(policy(RolloutMode.STAGED)));
  else if (chance < 0.7) asked(rollouts.setPolicy(policy(RolloutMode.IMMEDIATE)));
  else if (chance < 0.76) asked(rollouts.pause());
  else if (chance < 0.88) asked(rollouts.resume(driver.connectedIds()));
  else if (chance < 0.92) asked(rollouts.promote());
  else asked(rollouts.abort("as simulated"));
}

/** Somebody wants every node to have everything. */
export function endRollouts({ rollouts }: RolloutDriver): void {
  asked(rollouts.setPolicy(policy(RolloutMode.IMMEDIATE)).then(() => rollouts.promote()));
}

export function countRollouts(commits: readonly SimulatedCommit[], counts: SimulationCounts): void {
  let before: RolloutPhase | undefined;
  for (const { after } of commits.flatMap(({ changes }) => changes.filter(({ kind }) => kind === "rollout"))) {
    const { phase, beganAt } = fromBinary(RolloutSchema, after!);
    const isNew = phase !== before && beganAt !== undefined;
    if (isNew && phase === RolloutPhase.RUNNING && before !== RolloutPhase.PAUSED) counts.rolloutsBegun++;
    if (isNew && phase === RolloutPhase.HALTED) counts.rolloutsHalted++;
    if (isNew && phase === RolloutPhase.DONE) counts.rolloutsDone++;
    before = phase;
  }
}
