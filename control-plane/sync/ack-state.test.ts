import { describe, expect, it } from "vitest";
import {
  type AckContext,
  type AckState,
  deltaBase,
  greet,
  isWorthWaiting,
  markMissed,
  markPushed,
  markRefused,
  markServing,
  nextStep,
  servesRevision,
  takeAck,
  takeHeartbeat,
  takeNack,
} from "./ack-state.ts";

const epoch = { counter: 5, id: Buffer.alloc(16, 1) };
const hashA = Buffer.alloc(32, 0xaa);
const hashB = Buffer.alloc(32, 0xbb);
const noHash = new Uint8Array();

const state7 = { publication: 7, revision: 17, stateHash: hashA };
const state8 = { publication: 8, revision: 18, stateHash: hashB };
const whole = { dueAtMs: 0, isDelta: false };
const none = greet(epoch, null, undefined);
const serving7 = greet(epoch, { epoch, publication: 7, stateHash: hashA }, state7);

const context = (changes: Partial<AckContext> = {}): AckContext => ({
  nowMs: 100,
  keepUpMs: 1_000,
  newest: state8,
  known: undefined,
  ...changes,
});
const ackOf = (published: { publication: number; stateHash: Uint8Array }, applyDurationMs = 3) => ({
  publication: published.publication,
  stateHash: published.stateHash,
  applyDurationMs,
});
const nackOf = (publication: number, keptPublication = 7, reason = "invalid_entity") => ({
  publication,
  keptPublication,
  reason,
});

describe("greet", () => {
  const held = (counter: number, id: Buffer, publication: number, stateHash: Buffer) => ({
    epoch: { counter, id },
    publication,
    stateHash,
  });
  const otherId = Buffer.alloc(16, 2);

  it.each([
    { name: "pushes to a node that serves nothing", have: null, step: "push", stop: null },
    {
      name: "leaves a node that serves the newest",
      have: held(5, epoch.id, 8, hashB),
      step: "serves-newest",
      stop: null,
    },
    { name: "pushes to a node that is behind", have: held(5, epoch.id, 7, hashA), step: "push", stop: null },
    {
      name: "pushes over a higher number of an earlier epoch",
      have: held(4, otherId, 900, hashA),
      step: "push",
      stop: null,
    },
    { name: "stops at a foreign store", have: held(5, otherId, 3, hashA), step: "wait", stop: "foreign_store" },
    { name: "stops at a later epoch", have: held(6, epoch.id, 3, hashA), step: "wait", stop: "newer_epoch" },
    { name: "does not push to a node that is ahead", have: held(5, epoch.id, 9, hashA), step: "ahead", stop: null },
    { name: "finds other content under its number", have: held(5, epoch.id, 8, hashA), step: "diverged", stop: null },
  ])("$name", ({ have, step, stop }) => {
    const state = greet(epoch, have, undefined);
    expect(state.stop).toBe(stop);
    expect(nextStep(state, state8)).toBe(step);
  });

  it("knows the revision of a publication that it knows by number and hash only", () => {
    expect(serving7.served?.revision).toBe(17);
    expect(greet(epoch, { epoch, publication: 7, stateHash: hashB }, state7).served?.revision).toBe(0);
  });
});

describe("takeAck", () => {
  const pushed8 = markPushed(serving7, state8, whole);

  it("counts a publication as served with the right hash only", () => {
    const { state, type } = takeAck(pushed8, ackOf(state8), context());
    expect(type).toBe("applied");
    expect(state.served).toMatchObject(state8);
    expect(nextStep(state, state8)).toBe("serves-newest");
  });

  it("knows a node by the later number, where it serves what was pushed under that", () => {
    const state9 = { publication: 9, revision: 19, stateHash: hashB };
    const after9 = takeAck(pushed8, ackOf(state9), context({ known: state9 })).state;
    expect(takeAck(after9, ackOf(state8), context()).state).toMatchObject({ served: state9, pushed: null });
    const other9 = { ...state9, stateHash: hashA };
    const afterOther = takeAck(pushed8, ackOf(other9), context({ known: other9 })).state;
    expect(takeAck(afterOther, ackOf(state8), context()).state.served).toMatchObject(state8);
  });

  it("pushes nothing while a push is unanswered, and the newest after its ack", () => {
    const state9 = { publication: 9, revision: 19, stateHash: Buffer.alloc(32, 0xcc) };
    expect(nextStep(pushed8, state9)).toBe("wait");
    expect(nextStep(takeAck(pushed8, ackOf(state8), context()).state, state9)).toBe("push");
  });

  it("sends again after one wrong hash and gives the publication up after two", () => {
    const once = takeAck(pushed8, ackOf({ publication: 8, stateHash: hashA }), context());
    expect(once.type).toBe("wrong_hash_once");
    expect(nextStep(once.state, state8)).toBe("push");
    expect(once.state.served?.publication).toBe(7);
    const again = takeAck(
      markPushed(once.state, state8, whole),
      ackOf({ publication: 8, stateHash: hashA }),
      context(),
    );
    expect(again.type).toBe("wrong_hash_again");
    expect(nextStep(again.state, state8)).toBe("wait");
    expect(nextStep(again.state, { ...state8, publication: 9 })).toBe("push");
  });

  it("takes an ack for what an earlier stream pushed when number and hash are known", () => {
    const acked = takeAck(serving7, ackOf(state8), context({ known: state8 }));
    expect(acked).toMatchObject({ type: "applied", state: { served: state8 } });
    expect(takeAck(serving7, ackOf(state8), context()).type).toBe("ignored");
    expect(takeAck(serving7, ackOf(state7), context({ known: state7 })).type).toBe("ignored");
  });

  it.each([
    { name: "keeps up when acked in time", nowMs: 900, applyMs: 800, newest: state8, hasMissed: false },
    {
      name: "keeps up again when late, quick and at the newest",
      nowMs: 9_000,
      applyMs: 5,
      newest: state8,
      hasMissed: false,
    },
    { name: "does not keep up when late because slow", nowMs: 3_000, applyMs: 2_900, newest: state8, hasMissed: true },
    {
      name: "does not keep up when late and still behind",
      nowMs: 9_000,
      applyMs: 5,
      newest: { ...state8, publication: 9 },
      hasMissed: true,
    },
  ])("$name", ({ nowMs, applyMs, newest, hasMissed }) => {
    const missed = nowMs > 1_000 ? markMissed(pushed8) : pushed8;
    expect(takeAck(missed, ackOf(state8, applyMs), context({ nowMs, newest })).state.hasMissed).toBe(hasMissed);
  });
});

describe("takeNack", () => {
  it("does not push the refused publication again, but the next one", () => {
    const state = takeNack(markPushed(serving7, state8, whole), nackOf(8), state7);
    expect(nextStep(state, state8)).toBe("wait");
    expect(nextStep(state, { ...state8, publication: 9 })).toBe("push");
    expect(state.served?.publication).toBe(7);
  });

  it("follows a node that went back from what it had acked", () => {
    const serving8 = takeAck(markPushed(serving7, state8, whole), ackOf(state8), context()).state;
    const state = takeNack(serving8, nackOf(8), state7);
    expect(state.served).toMatchObject(state7);
    expect(nextStep(state, state8)).toBe("wait");
    expect(takeNack(serving8, nackOf(8, 3), undefined).served).toMatchObject({ publication: 3, revision: 0 });
    expect(takeNack(serving8, nackOf(8, 0), undefined).served).toBeNull();
  });

  it("stops when the node sees a foreign store", () => {
    const state = takeNack(markPushed(none, state8, whole), nackOf(8, 0, "foreign_store"), undefined);
    expect(nextStep(state, { ...state8, publication: 9 })).toBe("wait");
  });
});

describe("deltaBase", () => {
  const delta8 = markPushed(serving7, state8, { dueAtMs: 0, isDelta: true });

  it("is what the node serves, of this epoch", () => {
    expect(deltaBase(serving7)).toMatchObject(state7);
    expect(deltaBase(none)).toBeNull();
    const earlier = { epoch: { counter: 4, id: epoch.id }, publication: 7, stateHash: hashA };
    expect(deltaBase(greet(epoch, earlier, state7))).toBeNull();
  });

  it.each(["unknown_base", "hash_mismatch", "invalid_delta"])(
    "is nothing after a delta was refused with %s, until a whole one was applied",
    (reason) => {
      const failed = takeNack(delta8, nackOf(8, 7, reason), state7);
      expect(nextStep(failed, state8)).toBe("push");
      expect(deltaBase(failed)).toBeNull();
      const { state } = takeAck(markPushed(failed, state8, whole), ackOf(state8), context());
      expect(deltaBase(state)).toMatchObject(state8);
    },
  );

  it("tries the whole once: a refused one is refused", () => {
    const failed = takeNack(delta8, nackOf(8, 7, "hash_mismatch"), state7);
    const again = takeNack(markPushed(failed, state8, whole), nackOf(8, 7, "hash_mismatch"), state7);
    expect(nextStep(again, state8)).toBe("wait");
    expect(nextStep(again, { ...state8, publication: 9 })).toBe("push");
    expect(deltaBase(again)).toBeNull();
  });

  it("takes a refusal of the content for what it is, though a delta brought it", () => {
    const refused = takeNack(delta8, nackOf(8), state7);
    expect(nextStep(refused, state8)).toBe("wait");
    expect(deltaBase(refused)).toMatchObject(state7);
  });

  it("is nothing after an ack with another hash", () => {
    const once = takeAck(delta8, ackOf({ publication: 8, stateHash: hashA }), context());
    expect(nextStep(once.state, state8)).toBe("push");
    expect(deltaBase(once.state)).toBeNull();
  });
});

describe("takeHeartbeat", () => {
  const beat = (publication: number, stateHash: Uint8Array, epochCounter: number | null = null) => ({
    ...{ publication, stateHash, epochCounter },
  });

  it("pushes to a node that went back to a higher number of an earlier epoch", () => {
    const back = takeHeartbeat(serving7, beat(900, hashB, 4), undefined, epoch);
    expect(back.served).toMatchObject({ publication: 900, isOfEarlierEpoch: true });
    expect(nextStep(back, state8)).toBe("push");
    expect(deltaBase(back)).toBeNull();
    const forth = takeHeartbeat(back, beat(7, hashA, 5), state7, epoch);
    expect(deltaBase(forth)).toMatchObject(state7);
    expect(takeHeartbeat(forth, beat(7, hashA, 5), state7, epoch)).toBe(forth);
  });

  it("notices that a node serves something else than thought", () => {
    expect(takeHeartbeat(serving7, beat(7, hashA), state7, epoch)).toBe(serving7);
    const back = takeHeartbeat(serving7, beat(6, hashB), undefined, epoch);
    expect(back.served).toMatchObject({ publication: 6, revision: 0 });
  });

  it("leaves the answer to a push to its ack", () => {
    const pushed = markPushed(serving7, state8, whole);
    expect(takeHeartbeat(pushed, beat(8, hashB), state8, epoch)).toBe(pushed);
    expect(takeHeartbeat(serving7, beat(0, noHash), undefined, epoch)).toBe(serving7);
  });
});

describe("isWorthWaiting", () => {
  const pushed = markPushed(serving7, state8, whole);
  it.each<{ name: string; state: AckState; keepingUp: boolean; all: boolean }>([
    { name: "a push under way", state: pushed, keepingUp: true, all: true },
    { name: "a node that missed", state: markMissed(pushed), keepingUp: false, all: true },
    {
      name: "a node that refused the revision",
      state: takeNack(pushed, nackOf(8), state7),
      keepingUp: false,
      all: false,
    },
    { name: "a stopped node", state: { ...pushed, stop: "foreign_store" }, keepingUp: false, all: false },
    { name: "a node that is ahead", state: { ...serving7, isAhead: true }, keepingUp: false, all: false },
  ])("judges $name", ({ state, keepingUp, all }) => {
    expect(isWorthWaiting(state, { revision: 18 }, "keeping-up")).toBe(keepingUp);
    expect(isWorthWaiting(state, { revision: 18 }, "all")).toBe(all);
  });

  it("waits for nobody who serves the revision", () => {
    expect(servesRevision(serving7, 17)).toBe(true);
    expect(isWorthWaiting(serving7, { revision: 17 }, "all")).toBe(false);
  });
});

describe("content that stays the same under other numbers", () => {
  /** The content of state7: nothing changed for this node until now. */
  const state12 = { publication: 12, revision: 40, stateHash: hashA, sincePublication: 7 };

  it("is not sent again, and serves later revisions under the number that the node knows", () => {
    expect(nextStep(serving7, state12)).toBe("serves-newest");
    const serving = markServing(serving7, state12);
    expect(serving.served).toMatchObject({ publication: 7, upToPublication: 12, revision: 40 });
    expect(servesRevision(serving, 40)).toBe(true);
    // What the node says of itself is no news, and deltas begin from the number that it holds.
    expect(takeHeartbeat(serving, { publication: 7, stateHash: hashA, epochCounter: 5 }, state7, epoch)).toBe(serving);
    expect(deltaBase(serving)).toMatchObject({ publication: 7 });
    expect(nextStep(serving, { publication: 13, revision: 41, stateHash: hashB })).toBe("push");
  });

  it("is known to be served by a node that was sent it elsewhere under a higher number", () => {
    expect(nextStep(serving7, { publication: 5, revision: 15, stateHash: hashA })).toBe("serves-newest");
    expect(nextStep(serving7, { publication: 5, revision: 15, stateHash: hashB })).toBe("ahead");
    const serving = markServing(serving7, { publication: 5, revision: 15, stateHash: hashA });
    expect(serving.served).toMatchObject({ publication: 7, upToPublication: 7, revision: 15 });
  });

  it("is not sent again to a node that refused it, until something else was published", () => {
    const refused = takeNack(markPushed(serving7, state8, whole), nackOf(8), undefined);
    const same = { publication: 9, revision: 19, stateHash: hashB, sincePublication: 8 };
    expect(nextStep(refused, same)).toBe("refused");
    expect(isWorthWaiting(refused, { revision: 19 }, "all")).toBe(true);
    expect(isWorthWaiting(markRefused(refused, same), { revision: 19 }, "all")).toBe(false);
    expect(nextStep(markRefused(refused, same), same)).toBe("wait");
    // Somebody went back, and now tries again.
    expect(nextStep(refused, { ...same, publication: 11, sincePublication: 11 })).toBe("push");
    expect(nextStep(refused, { ...same, publication: 11, stateHash: Buffer.alloc(32, 0xcc) })).toBe("push");
  });

  it("is sent under the higher number to a node of an earlier epoch", () => {
    const earlier = greet(epoch, { epoch: { ...epoch, counter: 4 }, publication: 7, stateHash: hashA }, undefined);
    expect(nextStep(earlier, state12)).toBe("push");
  });
});

describe("a refusal of what is older than what a node is applying", () => {
  const state9 = { publication: 9, revision: 19, stateHash: Buffer.alloc(32, 0xcc) };
  const stale = takeNack(markPushed(serving7, state8, whole), nackOf(8, 7, "stale_publication"), state7);

  it("is no reason to send the same again at once, nor against the next publication", () => {
    expect(nextStep(stale, state8)).toBe("wait");
    expect(nextStep(stale, state9)).toBe("push");
  });

  it("is none any more when the node refuses what it was applying, or says that it serves what it did", () => {
    expect(nextStep(takeNack(stale, nackOf(9), state7), state8)).toBe("push");
    const beat = { publication: 7, stateHash: hashA, epochCounter: 5 };
    expect(nextStep(takeHeartbeat(stale, beat, state7, epoch), state8)).toBe("push");
    const refused = takeNack(markPushed(serving7, state8, whole), nackOf(8), state7);
    expect(nextStep(takeNack(refused, nackOf(9), state7), state8)).toBe("wait");
    expect(nextStep(takeHeartbeat(refused, beat, state7, epoch), state8)).toBe("wait");
  });
});
