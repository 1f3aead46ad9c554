import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { QueryResultSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { NodeQuestions } from "./node-questions.ts";

const result = (init: MessageInitShape<typeof QueryResultSchema>) => create(QueryResultSchema, init);

/** Sends into the void, unless told otherwise; nothing is cancelled. */
const sending = (send: (id: bigint) => void = () => {}) => ({ send, cancel: () => {} });

describe("NodeQuestions", () => {
  it("gives each question its own answer, whatever their order", async () => {
    const questions = new NodeQuestions(new ManualClock());
    const ids: bigint[] = [];
    const asked = [1, 2].map(() =>
      questions.ask(
        1_000,
        sending((id) => ids.push(id)),
      ),
    );
    questions.take(result({ id: ids[1]!, body: Buffer.from("second") }));
    questions.take(result({ id: ids[0]!, problem: "cannot tell" }));
    questions.take(result({ id: 99n }));
    expect(await Promise.all(asked)).toEqual([
      { ok: false, problem: "cannot tell" },
      { ok: true, body: Buffer.from("second") },
    ]);
  });

  it("ends with a problem when the time is over, and takes no answer after it", async () => {
    const clock = new ManualClock();
    const questions = new NodeQuestions(clock);
    const asked = questions.ask(1_000, sending());
    clock.advance(1_000);
    questions.take(result({ id: 1n }));
    expect(await asked).toEqual({ ok: false, problem: "no answer within 1000 ms" });
  });

  it("ends with a problem when the stream does, and leaves no timer", async () => {
    const clock = new ManualClock();
    const questions = new NodeQuestions(clock);
    const asked = questions.ask(1_000, sending());
    questions.close();
    const late = questions.ask(
      1_000,
      sending(() => expect.unreachable()),
    );
    expect(await Promise.all([asked, late])).toEqual(Array(2).fill({ ok: false, problem: "its stream has ended" }));
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("has room again once nobody waits for an answer any more, and no timer", async () => {
    const clock = new ManualClock();
    const questions = new NodeQuestions(clock);
    const caller = new AbortController();
    const given = { ok: false, problem: "its answer is not waited for any more" };
    const asked = Array.from({ length: 100 }, () => questions.ask(1_000, sending(), caller.signal));
    caller.abort();
    expect(clock.nextDelayMs()).toBeNull();
    expect(await Promise.all(asked)).toEqual(Array(100).fill(given));
    expect(
      await questions.ask(
        1_000,
        sending(() => expect.unreachable()),
        caller.signal,
      ),
    ).toEqual(given);
    const next = questions.ask(
      1_000,
      sending((id) => questions.take(result({ id, body: Buffer.from("told") }))),
    );
    expect(await next).toEqual({ ok: true, body: Buffer.from("told") });
  });

  it("tells the node when nobody waits for an answer any more, and only then", async () => {
    const clock = new ManualClock();
    const questions = new NodeQuestions(clock);
    const caller = new AbortController();
    const cancelled: bigint[] = [];
    const ask = (timeoutMs: number) =>
      questions.ask(timeoutMs, { send: () => {}, cancel: (id) => cancelled.push(id) }, caller.signal);
    const asked = [ask(1_000), ask(2_000), ask(3_000)];
    questions.take(result({ id: 1n }));
    clock.advance(2_000);
    expect(cancelled).toEqual([2n]);
    caller.abort();
    expect(cancelled).toEqual([2n, 3n]);
    await Promise.all(asked);
    const last = questions.ask(1_000, { send: () => {}, cancel: () => expect.unreachable() });
    questions.close();
    await last;
  });

  it("has a limit", async () => {
    const questions = new NodeQuestions(new ManualClock());
    for (let i = 0; i < 100; i++) void questions.ask(1_000, sending());
    expect(await questions.ask(1_000, sending())).toEqual({
      ok: false,
      problem: "100 questions to it are open already",
    });
  });
});
