import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RolloutPhase } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { completePolicy, stageNodeMax } from "./rollout-policy.ts";
import {
  beginRollout,
  finishRollout,
  haltRollout,
  isWholeFleet,
  nextStage,
  pauseRollout,
  reach,
  resumeRollout,
} from "./rollout-steps.ts";

const policy = completePolicy(undefined);
const points = { baseline: { revision: 3, publication: 30 }, candidateRevision: 5 };
const nodes = (count: number) => Array.from({ length: count }, (_, i) => `n${String(i).padStart(4, "0")}`);
const begun = (connected: readonly string[]) => beginRollout(null, points, { policy, connected, nowMs: 1_000 });
const halt = { by: "person", reason: "r", nodeIds: [] } as const;

describe("rollout steps", () => {
  it("begin with one node, the first by id, and number the rollouts", () => {
    const first = begun(["n2", "n1", "n3"]);
    expect(first).toMatchObject({ number: 1n, phase: RolloutPhase.RUNNING, stage: 0, reachedNodeIds: ["n1"] });
    expect(first).toMatchObject({ baselineRevision: 3n, baselinePublication: 30n, candidateRevision: 5n });
    expect(beginRollout(first, points, { policy, connected: [], nowMs: 2_000 }).number).toBe(2n);
  });

  it("go from one node to a tenth to all", () => {
    const fleet = nodes(50);
    const tenth = nextStage(begun(fleet), fleet, 2_000)!;
    expect(tenth.reachedNodeIds).toEqual(fleet.slice(0, 5));
    const whole = nextStage(tenth, fleet, 3_000)!;
    expect([isWholeFleet(tenth), isWholeFleet(whole)]).toEqual([false, true]);
    expect(nextStage(whole, fleet, 4_000)).toBeNull();
  });

  it("pass over a stage that adds no node", () => {
    expect(isWholeFleet(nextStage(begun(nodes(5)), nodes(5), 2_000)!)).toBe(true);
  });

  it("take in a node that connects later where the stage has room", () => {
    const lonely = begun([]);
    expect(lonely.reachedNodeIds).toEqual([]);
    expect(reach(lonely, ["n9", "n8"]).reachedNodeIds).toEqual(["n8"]);
    const full = begun(["n5"]);
    expect(reach(full, ["n1", "n5"])).toBe(full);
  });

  it.each([
    { name: "a running one may be paused, halted and finished", phase: RolloutPhase.RUNNING, may: "pause halt finish" },
    { name: "a paused one may be resumed, halted and finished", phase: RolloutPhase.PAUSED, may: "resume halt finish" },
    { name: "a halted one may be finished", phase: RolloutPhase.HALTED, may: "finish" },
    { name: "after one that is done, what waits may be finished", phase: RolloutPhase.DONE, may: "finish" },
  ])("$name", ({ phase, may }) => {
    const rollout = { ...begun(["n1"]), phase };
    const steps = {
      pause: pauseRollout(rollout),
      resume: resumeRollout(rollout, 2_000),
      halt: haltRollout(rollout, halt, 2_000),
      finish: finishRollout(rollout, 5, "r", 2_000),
    };
    const possible = Object.entries(steps).flatMap(([name, outcome]) => (outcome === null ? [] : [name]));
    expect(possible.join(" ")).toBe(may);
  });

  it("never reach more nodes than the stage allows, nor any twice, and lose none, whoever comes and goes", () => {
    const fleets = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 60 }), { maxLength: 60 }), { minLength: 1 });
    const stages = fc.array(
      fc.record({ nodeCount: fc.integer({ min: 0, max: 20 }), percent: fc.integer({ min: 1, max: 100 }) }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(fleets, stages, fc.array(fc.boolean(), { minLength: 20 }), (connections, sizes, goesOn) => {
        const own = completePolicy({ ...policy, stages: sizes.map((size) => ({ ...policy.stages[0]!, ...size })) });
        const ids = (at: number) => connections[at % connections.length]!.map((id) => `n${id}`);
        let rollout = beginRollout(null, points, { policy: own, connected: ids(0), nowMs: 0 });
        /** The most that the stages so far allowed for who was connected then. */
        let most = stageNodeMax(own, 0, ids(0).length);
        for (const [i, goes] of goesOn.entries()) {
          const connected = ids(i);
          const next = goes ? nextStage(rollout, connected, i) : reach(rollout, connected);
          if (next === null) break;
          expect(next.reachedNodeIds).toEqual(expect.arrayContaining(rollout.reachedNodeIds));
          rollout = next;
          most = Math.max(most, stageNodeMax(own, rollout.stage, connected.length));
          expect(new Set(rollout.reachedNodeIds).size).toBe(rollout.reachedNodeIds.length);
          expect(rollout.reachedNodeIds.length).toBeLessThanOrEqual(most);
        }
      }),
    );
  });
});
