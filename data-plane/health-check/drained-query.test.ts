import { describe, expect, it } from "vitest";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { FakeTimers } from "../upstream/timers.test-fake.ts";
import { answerDrained } from "./drained-query.ts";

/** A target with two addresses that has gone, and another that has not; attempts of two workers. */
function rig() {
  const timers = new FakeTimers();
  const table = EndpointTable.create({ endpointRowsMax: 10, poolRowsMax: 2 });
  const workers = [1, 2].map((column) => EndpointTable.attach(table.buffer, column));
  const rows = new EndpointRows(table, 300_000);
  const poolRow = rows.poolRow("upstream:u")!;
  const rowOf = (host: string, address: string) =>
    rows.endpointRow({ targetId: "t", poolKey: "upstream:u", host, address, port: 80 })!;
  const [a, b, kept] = [rowOf("gone", "10.0.0.1"), rowOf("gone", "10.0.0.2"), rowOf("kept", "10.0.0.3")];
  rows.sent(1, new Set(["upstream:u"]), new Set([kept]), 0);
  const asker = new AbortController();
  const ask = (question: object) =>
    answerDrained({ table, rows, timers }, Buffer.from(JSON.stringify(question)), asker.signal);
  return { timers, rows, workers, poolRow, a, b, kept, ask, asker };
}

const question = { upstreamId: "u", target: "gone:80", timeoutMs: 30_000 };

describe("answerDrained", () => {
  it("answers as soon as nothing is under way, on any endpoint and in any worker", async () => {
    const { timers, workers, a, b, kept, ask, poolRow } = rig();
    workers[0]!.attemptBegins(poolRow, a);
    workers[1]!.attemptBegins(poolRow, b);
    workers[1]!.attemptBegins(poolRow, kept);
    let answer: object | null = null;
    const answered = ask(question).then((given) => {
      answer = given;
    });
    await timers.pass(1_000);
    workers[0]!.attemptEnds(poolRow, a);
    await timers.pass(1_000);
    expect(answer).toBeNull();
    workers[1]!.attemptEnds(poolRow, b);
    await timers.pass(20);
    await answered;
    expect(answer).toEqual({ inFlight: 0 });
  });

  it("answers with what is left when the time is over", async () => {
    const { timers, workers, a, b, ask, poolRow } = rig();
    for (const row of [a, a, b]) workers[0]!.attemptBegins(poolRow, row);
    const answered = ask({ ...question, timeoutMs: 50 });
    await timers.pass(50);
    expect(await answered).toEqual({ inFlight: 3 });
  });

  it("answers at once where the target is not known", async () => {
    expect(await rig().ask({ ...question, target: "[::1]:80" })).toEqual({ inFlight: 0 });
  });

  it("has no answer for a target that gets requests, nor for one that gets them again", async () => {
    const { timers, rows, workers, a, b, kept, ask, poolRow } = rig();
    await expect(ask({ ...question, target: "kept:80" })).rejects.toThrow("gets requests");
    workers[0]!.attemptBegins(poolRow, a);
    const answered = expect(ask(question)).rejects.toThrow("gets requests");
    rows.sent(2, new Set(["upstream:u"]), new Set([a, b, kept]), 0);
    await timers.pass(20);
    await answered;
  });

  it("looks no more once nobody waits for the answer", async () => {
    const { timers, workers, a, ask, asker, poolRow } = rig();
    workers[0]!.attemptBegins(poolRow, a);
    const answered = expect(ask(question)).rejects.toBe("cancelled");
    asker.abort("cancelled");
    await timers.pass(20);
    await answered;
    expect(timers.waitingCount).toBe(0);
  });

  it.each([{}, { ...question, target: "gone" }, { ...question, timeoutMs: "x" }, { ...question, upstreamId: 1 }])(
    "has no answer to %j",
    async (asked) => {
      await expect(rig().ask(asked)).rejects.toThrow("not an upstreamId");
    },
  );
});
