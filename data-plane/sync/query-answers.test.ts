import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { QuerySchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { QueryAnswers } from "./query-answers.ts";
import type { NodeMessage } from "./sync-stream.ts";

const placeCount = 256;
const query = (id: number, kind = "drained") => create(QuerySchema, { id: BigInt(id), kind });

/** Answers that come when a test says so, and what was sent. */
function rig() {
  const pending: { readonly signal: AbortSignal; readonly settle: (answer: Uint8Array) => void }[] = [];
  const answers = new QueryAnswers(
    (_kind, _body, signal) =>
      new Promise((resolve, reject) => {
        pending.push({ signal, settle: resolve });
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  );
  const sent: NodeMessage[] = [];
  const stream = { send: (message: NodeMessage) => void sent.push(message) };
  return { answers, pending, sent, ask: (id: number) => answers.answer(query(id), stream) };
}

describe("QueryAnswers", () => {
  it("ends what is cancelled, says nothing of it, and has its place free at once", async () => {
    const { answers, pending, sent, ask } = rig();
    const asked = Array.from({ length: placeCount }, (_, i) => ask(i));
    await ask(placeCount);
    const tooMany = { case: "queryResult", value: { id: 256n, problem: "this node is answering too many queries" } };
    expect(sent).toEqual([tooMany]);
    answers.cancel(7n);
    answers.cancel(7n);
    answers.cancel(999n);
    expect(pending.map(({ signal }) => signal.aborted).flatMap((isOver, i) => (isOver ? [i] : []))).toEqual([7]);
    const next = ask(placeCount + 1);
    expect(pending).toHaveLength(placeCount + 1);
    for (const { settle } of pending) settle(Buffer.from("done"));
    await Promise.all([...asked, next]);
    const answered = sent.slice(1).map((message) => message?.case === "queryResult" && Number(message.value.id));
    expect(answered).toEqual([...Array.from({ length: placeCount }, (_, i) => i).filter((i) => i !== 7), 257]);
  });

  it("ends them all with their stream, and does not mix them up with those of the next", async () => {
    const { answers, pending, sent, ask } = rig();
    const earlier = [ask(1), ask(2)];
    answers.streamEnded();
    const later = ask(1);
    await Promise.all(earlier);
    expect(pending.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
    answers.cancel(1n);
    await later;
    expect([pending[2]!.signal.aborted, sent]).toEqual([true, []]);
  });
});

describe("QueryAnswers of nonsense", () => {
  it("answers none by an id that is being answered, and none that is too large", async () => {
    const { answers, pending, sent, ask } = rig();
    const first = ask(1);
    for (let i = 0; i < 1_000; i++) await ask(1);
    const stream = { send: (message: NodeMessage) => void sent.push(message) };
    await answers.answer(
      create(QuerySchema, { id: 2n, kind: "explain", body: new Uint8Array(1024 * 1024 + 1) }),
      stream,
    );
    expect(pending).toHaveLength(1);
    expect(sent.at(-1)).toMatchObject({ value: { id: 2n, problem: "the query has more than 1048576 bytes" } });
    answers.cancel(1n);
    await first;
    expect([pending[0]!.signal.aborted, sent.length]).toEqual([true, 1_001]);
  });
});
