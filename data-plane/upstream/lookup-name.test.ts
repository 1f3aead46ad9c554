import { describe, expect, it, onTestFinished } from "vitest";
import {
  type AnswerQuestion,
  addressRecords,
  answerFrom,
  authorityRecord,
  serviceRecords,
  startDnsServer,
} from "../../test/support/dns-server.ts";
import { DnsClient } from "./dns/dns-client.ts";
import type { NameAddresses } from "./hosts-file.ts";
import { type AddressFamilies, lookupName } from "./lookup-name.ts";
import { FakeTimers } from "./timers.test-fake.ts";
import { systemTimers } from "./timers.ts";

interface Given {
  readonly search?: readonly string[];
  readonly ndots?: number;
  readonly families?: AddressFamilies;
}

async function rig(answer: AnswerQuestion, { search = [], ndots = 1, families = "fastest" }: Given = {}) {
  const server = await startDnsServer(answer);
  onTestFinished(() => server.close());
  const client = new DnsClient({ timers: systemTimers, servers: () => [server], timeoutMs: 10_000, tries: 1 });
  const timers = new FakeTimers();
  const lookup = lookupName({
    query: (question) => client.query(question),
    settings: () => ({ search, ndots }),
    families,
    timers,
  });
  const askedNames = () => [...new Set(server.asked.map(({ name }) => name))];
  return { lookup, server, timers, askedNames };
}

const zone = [
  ...addressRecords("both.test", ["10.0.0.1", "10.0.0.2", "fd00::1"], 30),
  ...addressRecords("four.test", ["10.0.0.1"]),
  ...addressRecords("six.test", ["fd00::1"], 20),
];

describe("lookupName", () => {
  it.each([
    { name: "both.test", families: "fastest", v4: ["10.0.0.1", "10.0.0.2"], v6: ["fd00::1"], ttlMs: 30_000 },
    { name: "four.test", families: "fastest", v4: ["10.0.0.1"], v6: [], ttlMs: 60_000 },
    { name: "six.test", families: "ipv4-first", v4: [], v6: ["fd00::1"], ttlMs: 20_000 },
    { name: "both.test", families: "ipv4", v4: ["10.0.0.1", "10.0.0.2"], v6: [], ttlMs: 30_000 },
    { name: "both.test", families: "ipv6", v4: [], v6: ["fd00::1"], ttlMs: 30_000 },
  ] as const)("finds the addresses of $name for $families", async ({ name, families, ...want }) => {
    const { lookup } = await rig(answerFrom(zone), { families });
    expect(await lookup(name, "host")).toEqual({ type: "addresses", ...want });
  });

  it.each([
    { name: "nobody.test", reason: "no such name" },
    { name: `${"a".repeat(64)}.test`, reason: "cannot be asked for" },
    { name: "a..test", reason: "cannot be asked for" },
    { name: "empty.test", reason: "no address" },
  ])("says that $name is not there: $reason", async ({ name, reason }) => {
    const records = [...zone, { name: "empty.test", type: "TXT" as const, data: "x" }];
    const { lookup } = await rig(answerFrom(records));
    expect(await lookup(name, "host")).toEqual({ type: "not_found", reason, ttlMs: null });
  });

  it("says for how long there is nothing", async () => {
    const { lookup } = await rig(({ type }) => ({ authorities: [authorityRecord(type === "A" ? 20 : 10)] }));
    expect(await lookup("a.test", "host")).toEqual({ type: "not_found", reason: "no address", ttlMs: 10_000 });
  });

  it.each(["A", "AAAA"])("takes what there is when only the question for %s fails", async (failing) => {
    const { lookup } = await rig((question) => (question.type === failing ? { rcode: 2 } : answerFrom(zone)(question)));
    const { v4, v6 } = (await lookup("both.test", "host")) as NameAddresses & { type: "addresses" };
    expect([v4.length, v6.length]).toEqual(failing === "A" ? [0, 1] : [2, 0]);
  });

  it("does not take one family's absence for the other's", async () => {
    const { lookup } = await rig(({ type }) => (type === "A" ? {} : { rcode: 2 }));
    expect(await lookup("a.test", "host")).toMatchObject({ type: "failed" });
  });

  it("waits for the other family for 300 ms, not for as long as a silent server takes", async () => {
    const { lookup, timers, server } = await rig((question) =>
      question.type === "AAAA" ? { isSilent: true } : answerFrom(zone)(question),
    );
    const answering = lookup("both.test", "host");
    await server.answered(2);
    while (timers.waitingCount === 0) await timers.pass(0);
    await timers.pass(300);
    expect(await answering).toMatchObject({ v4: ["10.0.0.1", "10.0.0.2"], v6: [] });
  });

  it("looks in the search domains, each in turn, until one has it", async () => {
    const records = addressRecords("web.y.test", ["10.0.0.1"]);
    const { lookup, askedNames } = await rig(answerFrom(records), { search: ["x.test", "y.test", "z.test"] });
    expect(await lookup("web", "host")).toMatchObject({ v4: ["10.0.0.1"] });
    expect(askedNames()).toEqual(["web.x.test", "web.y.test"]);
  });

  it("looks for a name that ends with a dot nowhere else", async () => {
    const { lookup, askedNames } = await rig(answerFrom([]), { search: ["x.test"] });
    expect(await lookup("web.", "host")).toMatchObject({ type: "not_found" });
    expect(askedNames()).toEqual(["web"]);
  });

  it("does not go on to the next domain while nobody can say whether the name is in this one", async () => {
    const { lookup, askedNames } = await rig(({ name }) => (name === "web.x.test" ? { rcode: 2 } : {}), {
      search: ["x.test", "y.test"],
    });
    expect(await lookup("web", "host")).toMatchObject({ type: "failed" });
    expect(askedNames()).toEqual(["web.x.test"]);
  });

  it("gives the records of a service of the lowest priority, with weights of at least 1", async () => {
    const places = [
      { target: "b.test", port: 8_082, priority: 5, weight: 0 },
      { target: "C.test", port: 8_083, priority: 5, weight: 7 },
      { target: "a.test", port: 8_081, priority: 10, weight: 100 },
    ];
    const { lookup } = await rig(answerFrom(serviceRecords("_http._tcp.s.test", places, 15)));
    expect(await lookup("_http._tcp.s.test", "service")).toEqual({
      type: "services",
      records: [
        { target: "b.test", port: 8_082, weight: 1 },
        { target: "c.test", port: 8_083, weight: 7 },
      ],
      ttlMs: 15_000,
    });
  });

  it("believes a service that says that it is not offered", async () => {
    const { lookup } = await rig(answerFrom(serviceRecords("_http._tcp.s.test", [{ target: ".", port: 0 }], 15)));
    const want = { type: "not_found", reason: "the service is not offered", ttlMs: 15_000 };
    expect(await lookup("_http._tcp.s.test", "service")).toEqual(want);
  });

  it("asks for no addresses of what can only be a service", async () => {
    const { lookup, server } = await rig(answerFrom([]));
    expect(await lookup("_http._tcp.s.test", "service")).toMatchObject({ type: "not_found" });
    expect(server.asked.map(({ type }) => type)).toEqual(["SRV"]);
  });

  it("takes the addresses of a name that may be a service's and is not", async () => {
    const { lookup } = await rig(
      answerFrom([...zone, ...serviceRecords("s.test", [{ target: "four.test", port: 81 }])]),
    );
    expect(await lookup("s.test", "service_or_host")).toMatchObject({ type: "services" });
    expect(await lookup("four.test", "service_or_host")).toMatchObject({ type: "addresses", v4: ["10.0.0.1"] });
  });

  it("does not take a failing question for a service as a word on it", async () => {
    const { lookup } = await rig((question) => (question.type === "SRV" ? { rcode: 2 } : answerFrom(zone)(question)));
    expect(await lookup("four.test", "service_or_host")).toMatchObject({ type: "failed" });
  });
});
