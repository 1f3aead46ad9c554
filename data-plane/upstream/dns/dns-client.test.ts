import { describe, expect, it, onTestFinished } from "vitest";
import {
  type AnswerQuestion,
  addressRecords,
  aliasRecord,
  answerFrom,
  authorityRecord,
  startDnsServer,
  type TestDnsServer,
} from "../../../test/support/dns-server.ts";
import { systemTimers } from "../timers.ts";
import { DnsClient } from "./dns-client.ts";

async function start(answer: AnswerQuestion): Promise<TestDnsServer> {
  const server = await startDnsServer(answer);
  onTestFinished(() => server.close());
  return server;
}

/** A client of these servers, on a clock that the test sets. */
function rig(servers: readonly TestDnsServer[], tries = 1) {
  const clock = { nowMs: 0 };
  const failures: string[] = [];
  const client = new DnsClient({
    timers: { after: systemTimers.after, nowMs: () => clock.nowMs },
    servers: () => servers,
    timeoutMs: 10_000,
    tries,
    onServerFailure: (server, problem) => failures.push(`${server} ${problem}`),
  });
  const askA = (name: string) => client.query({ name, kind: "A" });
  return { clock, failures, askA };
}

const found = answerFrom(addressRecords("a.test", ["10.0.0.1"]));

describe("DnsClient", () => {
  it("gives the records, with the shortest time to live", async () => {
    const records = [...addressRecords("a.test", ["10.0.0.1"], 60), ...addressRecords("a.test", ["10.0.0.2"], 30)];
    const answer = await rig([await start(answerFrom(records))]).askA("a.test");
    expect(answer).toMatchObject({ type: "records", ttlMs: 30_000 });
    expect(answer.type === "records" && answer.records).toHaveLength(2);
  });

  it.each([
    { name: "that there is no such name", scripted: { rcode: 3 }, reason: "no such name" },
    { name: "nothing", scripted: {}, reason: "no A record" },
  ])("believes a server that says $name, for as long as it says", async ({ scripted, reason }) => {
    const server = await start(() => ({ ...scripted, authorities: [authorityRecord(20)] }));
    const other = await start(found);
    expect(await rig([server, other]).askA("a.test")).toEqual({ type: "none", reason, ttlMs: 20_000 });
    expect(other.asked).toEqual([]);
  });

  it("takes the shorter of the two times that a server says it by", async () => {
    const server = await start(() => ({ rcode: 3, authorities: [authorityRecord(20, 5)] }));
    expect(await rig([server]).askA("a.test")).toMatchObject({ ttlMs: 5_000 });
  });

  it.each([
    { name: "fails", scripted: { rcode: 2 }, problem: "SERVFAIL" },
    { name: "refuses", scripted: { rcode: 5 }, problem: "REFUSED" },
    { name: "only names others", scripted: { isReferral: true }, problem: "does no recursion" },
  ])("asks the next server where one $name", async ({ scripted, problem }) => {
    const authorities = [{ name: "test", type: "NS" as const, class: "IN" as const, ttl: 60, data: "ns.test" }];
    const [first, second] = [await start(() => ({ ...scripted, authorities })), await start(found)];
    const { askA, failures } = rig([first, second]);
    expect(await askA("a.test")).toMatchObject({ type: "records" });
    expect(failures).toEqual([`${first.address} ${problem}`]);
  });

  it("asks each as often as it may, then says what was wrong last", async () => {
    const [first, second] = [await start(() => ({ rcode: 2 })), await start(() => ({ rcode: 5 }))];
    expect(await rig([first, second], 2).askA("a.test")).toEqual({
      type: "failed",
      message: `${second.address}: REFUSED`,
    });
    expect([first.asked.length, second.asked.length]).toEqual([2, 2]);
  });

  it("says that there is nobody to ask", async () => {
    expect(await rig([]).askA("a.test")).toEqual({ type: "failed", message: "there is no name server" });
  });

  it("asks a server that failed after the others, and first again when that is 30 s ago", async () => {
    const [first, second] = [await start(() => ({ rcode: 2 })), await start(found)];
    const { askA, clock } = rig([first, second]);
    await askA("a.test");
    first.answer = found;
    await askA("a.test");
    expect([first.asked.length, second.asked.length]).toEqual([1, 2]);
    clock.nowMs = 30_000;
    await askA("a.test");
    expect([first.asked.length, second.asked.length]).toEqual([2, 2]);
  });

  it("follows aliases within one answer, and lets the shortest time to live count", async () => {
    const answers = [
      aliasRecord("a.test", "B.test", 5),
      aliasRecord("b.test", "c.test"),
      ...addressRecords("c.test", ["10.0.0.1"]),
    ];
    const server = await start(() => ({ answers }));
    const answer = await rig([server]).askA("a.test");
    expect(answer).toMatchObject({ type: "records", ttlMs: 5_000, records: [{ address: "10.0.0.1" }] });
    expect(server.asked).toHaveLength(1);
  });

  it("asks for the end of aliases where the server leaves that to it", async () => {
    const server = await start(
      answerFrom([aliasRecord("a.test", "b.test", 5), ...addressRecords("b.test", ["10.0.0.1"])]),
    );
    expect(await rig([server]).askA("a.test")).toMatchObject({ type: "records", ttlMs: 5_000 });
    expect(server.asked.map(({ name }) => name)).toEqual(["a.test", "b.test"]);
  });

  it("believes that there is nothing at the end of an alias", async () => {
    const server = await start(() => ({
      answers: [aliasRecord("a.test", "b.test")],
      authorities: [authorityRecord(20)],
    }));
    expect(await rig([server]).askA("a.test")).toEqual({ type: "none", reason: "no A record", ttlMs: 20_000 });
    expect(server.asked).toHaveLength(1);
  });

  it.each([
    { name: "within one answer", answers: [aliasRecord("a.test", "b.test"), aliasRecord("b.test", "a.test")] },
    { name: "to themselves", answers: [aliasRecord("a.test", "a.test")] },
  ])("ends with aliases that go round $name", async ({ answers }) => {
    const answer = await rig([await start(() => ({ answers }))]).askA("a.test");
    expect(answer).toEqual({ type: "failed", message: "the aliases of a.test do not end" });
  });

  it("ends with aliases that go on for ever over many answers", async () => {
    const server = await start(({ name }) => ({ answers: [aliasRecord(name, `x${name}`)] }));
    expect(await rig([server]).askA("a.test")).toMatchObject({ type: "failed" });
    expect(server.asked.length).toBeLessThan(20);
  });

  it("takes no address that is not the name's", async () => {
    const server = await start(() => ({ answers: addressRecords("other.test", ["10.6.6.6"]) }));
    expect(await rig([server]).askA("a.test")).toMatchObject({ type: "none" });
  });
});
