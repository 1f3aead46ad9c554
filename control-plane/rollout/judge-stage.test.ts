import { describe, expect, it } from "vitest";
import { judgeStage, type ReachedNode, type StageView } from "./judge-stage.ts";

const limits = { soakMs: 60_000, applyTimeoutMs: 120_000, errorShareTolerance: 0.01, requestMinCount: 50 };
const fine: ReachedNode = {
  ...{ id: "n1", isConnected: true, servesCandidate: true, hasTold: true, hasEverTold: true },
  ...{ nack: null, lostWorkerCount: 0 },
};
const late: ReachedNode = { ...fine, servesCandidate: false };
const hushed: ReachedNode = { ...fine, hasTold: false };
const mute: ReachedNode = { ...hushed, hasEverTold: false };
const away: ReachedNode = { ...late, isConnected: false };
const share = (errors: number, requests = 100) => ({ errors, requests });

const quiet: StageView = {
  isWholeFleet: false,
  reached: [fine],
  now: share(0, 0),
  before: share(0, 0),
  rest: share(0, 0),
  missingMs: 0,
  soakedMs: 30_000,
};

describe("judgeStage", () => {
  it.each<{ name: string; view: Partial<StageView>; want: string }>([
    { name: "waits for a node to connect", view: { reached: [], soakedMs: null }, want: "wait: a node to connect" },
    {
      name: "waits for the reached nodes to serve it",
      view: { reached: [fine, late], soakedMs: null, missingMs: 119_999 },
      want: "wait: 1 of 2 reached nodes to serve it",
    },
    { name: "waits until it was watched for long enough", view: {}, want: "wait: 30 s more to be watched" },
    { name: "passes then", view: { soakedMs: 60_000 }, want: "passed" },
    {
      name: "waits for what the nodes tell, however short it is watched",
      view: { reached: [fine, hushed, mute], soakedMs: 119_999 },
      want: "wait: 2 of 3 reached nodes to tell of requests since they serve it",
    },
    {
      name: "halts when a node falls silent",
      view: { reached: [fine, hushed], soakedMs: 120_000 },
      want: "halt no_stats",
    },
    {
      name: "gives up on a node that never told anything",
      view: { reached: [mute], soakedMs: 120_000 },
      want: "passed",
    },
    {
      name: "gives up on a silent node of the whole fleet",
      view: { isWholeFleet: true, reached: [fine, hushed], soakedMs: 120_000 },
      want: "passed",
    },
    {
      name: "waits for what a node tells of the whole fleet, and for none that is away or slow",
      view: { isWholeFleet: true, reached: [hushed, { ...away, hasTold: false }, late], soakedMs: 60_000 },
      want: "wait: 1 of 3 reached nodes to tell of requests since they serve it",
    },
    {
      name: "passes without traffic to judge by",
      view: { soakedMs: 60_000, now: share(49, 49) },
      want: "passed",
    },
    {
      name: "halts at a nack, also one of a node that serves it by now",
      view: { reached: [fine, { ...fine, nack: "route r: no" }], soakedMs: 60_000 },
      want: "halt nack",
    },
    { name: "halts at a lost worker", view: { reached: [{ ...fine, lostWorkerCount: 1 }] }, want: "halt worker_lost" },
    {
      name: "halts when a node does not serve it in time",
      view: { reached: [late], soakedMs: null, missingMs: 120_000 },
      want: "halt not_applied",
    },
    {
      name: "halts when a node has gone and does not come back",
      view: { reached: [away], soakedMs: null, missingMs: 120_000 },
      want: "halt not_applied",
    },
    {
      name: "waits for no node of the whole fleet that is away",
      view: { isWholeFleet: true, reached: [fine, away], soakedMs: 60_000 },
      want: "passed",
    },
    {
      name: "gives up on a slow node of the whole fleet",
      view: { isWholeFleet: true, reached: [fine, late], missingMs: 180_000, soakedMs: 60_000 },
      want: "passed",
    },
    {
      name: "halts when more fails than before",
      view: { now: share(10), before: share(2), rest: share(10) },
      want: "halt error_share",
    },
    {
      name: "halts when more fails than at the other nodes",
      view: { now: share(10), before: share(10), rest: share(2) },
      want: "halt error_share",
    },
    {
      name: "does not halt for as much as the tolerance",
      view: { now: share(3), before: share(2), rest: share(2) },
      want: "wait: 30 s more to be watched",
    },
    {
      name: "does not compare with what is too little",
      view: { now: share(10), before: share(0, 49), rest: share(10) },
      want: "wait: 30 s more to be watched",
    },
    {
      name: "halts when most fails and there is nothing to compare with",
      view: { now: share(51) },
      want: "halt error_share",
    },
    {
      name: "does not halt for what fails where there is nothing to compare with",
      view: { now: share(50) },
      want: "wait: 30 s more to be watched",
    },
  ])("$name", ({ view, want }) => {
    const verdict = judgeStage({ ...quiet, ...view }, limits);
    const text = {
      wait: () => `wait: ${"for" in verdict ? verdict.for : ""}`,
      passed: () => "passed",
      halt: () => `halt ${"halt" in verdict ? verdict.halt.by : ""}`,
    }[verdict.type]();
    expect(text).toBe(want);
  });

  it("gives nodes the time to tell where they have little to serve it", () => {
    const short = { ...limits, soakMs: 100, applyTimeoutMs: 100 };
    const view = { ...quiet, reached: [hushed], soakedMs: 29_999 };
    expect(judgeStage(view, short).type).toBe("wait");
    expect(judgeStage({ ...view, soakedMs: 30_000 }, short).type).toBe("halt");
  });

  it("names the nodes that it halts for", () => {
    const verdict = judgeStage({ ...quiet, reached: [fine, { ...fine, id: "n2", nack: "no" }] }, limits);
    expect(verdict).toMatchObject({ halt: { nodeIds: ["n2"], reason: "refused: no" } });
  });
});
