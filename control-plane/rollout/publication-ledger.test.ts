import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RolloutPhase, RolloutSchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { enterCommit, type Ledger, type LedgerCommit } from "./publication-ledger.ts";

const { RUNNING, PAUSED, HALTED, DONE } = RolloutPhase;

/** Each entry is one commit more, under the next revision and publication. */
type Entry = Partial<Omit<LedgerCommit, "rollout">> & {
  readonly phase?: RolloutPhase;
  readonly number?: number;
  readonly candidate?: number;
};

const content: Entry = { hasContent: true };
const live: Entry = { hasLive: true };
const begin = (candidate: number, number = 1): Entry => ({ phase: RUNNING, number, candidate });
const decision = (phase: RolloutPhase, candidate = 11, number = 1): Entry => ({ phase, number, candidate });

function after(entries: readonly Entry[], mode: Ledger["mode"] = "staged"): Ledger {
  const points = { baseline: null, candidate: null, waiting: null, rollout: null };
  let ledger: Ledger = { revision: 10, publication: 110, mode, ...points };
  for (const { phase, number = 1, candidate = 0, ...entry } of entries) {
    const rollout =
      phase === undefined
        ? null
        : create(RolloutSchema, { phase, number: BigInt(number), candidateRevision: BigInt(candidate) });
    const none = { hasContent: false, hasLive: false, order: null, mode: null };
    const [revision, publication] = [ledger.revision + 1, ledger.publication + 1];
    ledger = enterCommit(ledger, { ...none, ...entry, revision, publication, rollout });
  }
  return ledger;
}

describe("enterCommit", () => {
  it.each([
    {
      name: "holds back a change that goes stage by stage",
      entries: [content],
      baseline: [10, 110],
      waiting: [11, 11],
    },
    {
      name: "holds back nothing else where nothing waits",
      entries: [{ ...content, order: "immediate" } as Entry, live],
      baseline: null,
      waiting: null,
    },
    {
      name: "holds back what comes while others wait, however it was to go",
      entries: [content, { ...content, order: "immediate" } as Entry],
      baseline: [10, 110],
      waiting: [11, 12],
    },
    {
      name: "gives all nodes a new number for what is always live",
      entries: [content, live, begin(11), live],
      baseline: [10, 114],
      candidate: [11, 114],
      waiting: null,
    },
    {
      name: "gives the candidate the number of the decision to begin",
      entries: [content, live, begin(11)],
      baseline: [10, 112],
      candidate: [11, 113],
      waiting: null,
    },
    {
      name: "has what comes meanwhile wait for the next rollout",
      entries: [content, begin(11), content, content],
      baseline: [10, 110],
      candidate: [11, 112],
      waiting: [13, 14],
    },
    {
      name: "keeps the candidate's number from stage to stage",
      entries: [content, begin(11), decision(RUNNING), decision(PAUSED), decision(RUNNING)],
      baseline: [10, 110],
      candidate: [11, 112],
      waiting: null,
    },
    {
      name: "gives it a higher one where those that are reached next would not take it",
      entries: [content, begin(11), live, decision(RUNNING)],
      baseline: [10, 113],
      candidate: [11, 114],
      waiting: null,
    },
    {
      name: "returns everybody to the baseline under a higher number, and has all that changed wait",
      entries: [content, begin(11), content, decision(HALTED)],
      baseline: [10, 114],
      candidate: null,
      waiting: [11, 13],
    },
    {
      name: "goes on holding back after a halt",
      entries: [content, begin(11), decision(HALTED), { ...content, order: "immediate" } as Entry],
      baseline: [10, 113],
      waiting: [11, 14],
    },
    {
      name: "begins another rollout after a halt",
      entries: [content, begin(11), decision(HALTED), content, begin(14, 2)],
      baseline: [10, 113],
      candidate: [14, 115],
      waiting: null,
    },
    {
      name: "is done when nothing waits any more",
      entries: [content, begin(11), decision(DONE)],
      baseline: null,
      waiting: null,
    },
    {
      name: "is done when what waits need not go stage by stage",
      entries: [{ ...content, order: "staged" } as Entry, begin(11), content, decision(DONE)],
      mode: "immediate" as const,
      baseline: null,
      waiting: null,
    },
    {
      name: "goes on from what is done when something waits",
      entries: [content, begin(11), content, decision(DONE)],
      baseline: [11, 114],
      waiting: [13, 13],
    },
    {
      name: "gives all nodes all that waits after a halt when it is promoted",
      entries: [content, begin(11), decision(HALTED), content, decision(DONE, 14)],
      baseline: null,
      waiting: null,
    },
    {
      name: "goes by the mode that is set",
      entries: [{ mode: "immediate" } as Entry, content, { mode: "staged" } as Entry, content],
      baseline: [13, 113],
      waiting: [14, 14],
    },
  ])("$name", ({ entries, mode, baseline, candidate, waiting }) => {
    const ledger = after(entries, mode);
    const point = (at: readonly number[] | null | undefined) =>
      at == null ? null : { revision: at[0], publication: at[1] };
    expect(ledger.baseline).toEqual(point(baseline));
    expect(ledger.candidate).toEqual(point(candidate));
    expect(ledger.waiting === null ? null : [ledger.waiting.firstRevision, ledger.waiting.lastRevision]).toEqual(
      waiting,
    );
  });
});
