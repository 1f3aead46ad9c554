import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RolloutStatusSchema } from "../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { RolloutMode, RolloutPhase, RolloutPolicySchema } from "../proto/gen/penstock/config/v1/rollout_pb.ts";
import { policyReport, rolloutReport } from "./rollout-report.ts";

const report = (status: MessageInitShape<typeof RolloutStatusSchema>) =>
  rolloutReport(create(RolloutStatusSchema, status));
const at = timestampFromMs(1_700_000_000_000);

describe("rolloutReport", () => {
  it("says where there was none yet", () => {
    expect(report({})).toBe("Nothing was rolled out stage by stage yet.\n");
  });

  it("says how far a running one is, and what it waits for", () => {
    const text = report({
      number: 3n,
      phase: RolloutPhase.RUNNING,
      ...{
        stage: "1 of 3",
        reachedNodeIds: ["n1"],
        servingCount: 1,
        nodeCount: 10,
        waitsFor: "42 s more to be watched",
      },
      ...{ baselineRevision: 7n, candidateRevision: 9n, waitingFromRevision: 10n, stageBeganAt: at },
    });
    expect(text).toBe(`rollout 3: running
  stage      1 of 3: 1 of 10 data planes
  serving    1, revision 9
  waits for  42 s more to be watched
  reached    n1
  the others revision 7
  since      2023-11-14T22:13:20.000Z
changes from revision 10 on are stored and wait
`);
  });

  it("says why one was halted, and what can be done", () => {
    const text = report({
      number: 3n,
      phase: RolloutPhase.HALTED,
      ...{ haltedBy: "nack", reason: "refused: route r no", blamedNodeIds: ["n1"], baselineRevision: 7n, endedAt: at },
      waitingFromRevision: 8n,
    });
    expect(text).toContain("halted: every data plane is to serve what there was before");
    expect(text).toContain("  halted by  nack\n  because    refused: route r no\n  at         n1\n");
    expect(text).toContain("changes from revision 8 on are stored and wait for you\nresume begins anew");
  });
});

describe("policyReport", () => {
  it("says the policy", () => {
    const policy = create(RolloutPolicySchema, {
      mode: RolloutMode.STAGED,
      stages: [{ nodeCount: 1 }, { percent: 10 }, { nodeCount: 5, percent: 20 }],
      soak: durationFromMs(60_000),
      applyTimeout: durationFromMs(1_500),
      errorShareTolerance: 0.01,
      requestMinCount: 50n,
    });
    expect(policyReport(policy)).toBe(`mode             staged
stages           1, 10%, 5 or 20%, all
soak             60s
apply-timeout    1500ms
error-tolerance  0.01
min-requests     50
`);
  });
});
