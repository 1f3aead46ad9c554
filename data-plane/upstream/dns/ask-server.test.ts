import { createSocket } from "node:dgram";
import { once } from "node:events";
import { decode, encode } from "dns-packet";
import { describe, expect, it, onTestFinished } from "vitest";
import { type AnswerQuestion, addressRecords, startDnsServer } from "../../../test/support/dns-server.ts";
import { FakeTimers } from "../timers.test-fake.ts";
import { systemTimers } from "../timers.ts";
import { askServer } from "./ask-server.ts";
import type { DnsQuestion } from "./dns-message.ts";

const question: DnsQuestion = { name: "a.test", kind: "A" };
const answers = addressRecords("a.test", ["10.0.0.1"]);
const options = { timers: systemTimers, timeoutMs: 10_000 };

async function start(answer: AnswerQuestion) {
  const server = await startDnsServer(answer);
  onTestFinished(() => server.close());
  return server;
}

describe("askServer", () => {
  it("gets the reply over UDP, with room for more than 512 bytes asked for", async () => {
    const server = await start(() => ({ answers }));
    const reply = await askServer(server, question, options);
    expect(reply).toMatchObject({ rcode: 0, records: [{ kind: "A", address: "10.0.0.1", ttlMs: 60_000 }] });
    expect(server.asked).toMatchObject([{ name: "a.test", type: "A", transport: "udp", hasEdns: true }]);
  });

  it("asks again over TCP when the reply is truncated", async () => {
    const many = addressRecords(
      "a.test",
      Array.from({ length: 250 }, (_, i) => `10.0.0.${i}`),
    );
    const server = await start(() => ({ answers: many, isTruncated: true }));
    const sent: string[] = [];
    const onSend = (transport: string) => sent.push(transport);
    expect((await askServer(server, question, { ...options, onSend })).records).toHaveLength(250);
    expect(server.asked.map(({ transport }) => transport)).toEqual(["udp", "tcp"]);
    expect(sent).toEqual(["udp", "tcp"]);
  });

  it.each([1, 4])("asks without EDNS a server that answers it with rcode %i", async (rcode) => {
    const server = await start(({ hasEdns }) => (hasEdns ? { rcode } : { answers }));
    expect((await askServer(server, question, options)).records).toHaveLength(1);
    expect(server.asked.map(({ hasEdns }) => hasEdns)).toEqual([true, false]);
  });

  it("uses another port and another id for every question", async () => {
    const server = await start(() => ({ answers }));
    for (let i = 0; i < 20; i++) await askServer(server, question, options);
    // By chance two of 20 may be equal, of either; that half of them are is beyond chance.
    expect(new Set(server.asked.map(({ port }) => port)).size).toBeGreaterThan(10);
    expect(new Set(server.asked.map(({ id }) => id)).size).toBeGreaterThan(10);
  });

  it.each([
    { name: "another id", forge: (query: Buffer) => Buffer.concat([Buffer.from([query[0]! ^ 1]), query.subarray(1)]) },
    { name: "another question", forge: (query: Buffer) => reply(query, { name: "b.test", type: "A" }) },
    { name: "another type", forge: (query: Buffer) => reply(query, { name: "a.test", type: "AAAA" }) },
    { name: "no question", forge: (query: Buffer) => encode({ ...decode(query), type: "response", questions: [] }) },
    { name: "the query itself", forge: (query: Buffer) => query },
    { name: "garbage", forge: () => Buffer.from("garbage") },
    { name: "nothing", forge: () => Buffer.alloc(0) },
    { name: "a name that points at itself", forge: (query: Buffer) => pointingAtItself(query) },
  ])("does not hear a reply with $name, and hears the right one after it", async ({ forge }) => {
    const server = createSocket("udp4");
    onTestFinished(() => void server.close());
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    server.on("message", (query, peer) => {
      server.send(forge(query), peer.port, peer.address);
      const { id = 0, questions = [] } = decode(query);
      server.send(encode({ type: "response", id, questions, answers }), peer.port, peer.address);
    });
    const { port } = server.address();
    expect((await askServer({ host: "127.0.0.1", port }, question, options)).records).toHaveLength(1);
  });

  it("gives up after its time", async () => {
    const server = await start(() => ({ isSilent: true }));
    const timers = new FakeTimers();
    const failed = expect(askServer(server, question, { timers, timeoutMs: 2_000 })).rejects.toThrow("timeout");
    await server.answered(1);
    await timers.pass(2_000);
    await failed;
    expect(timers.waitingCount).toBe(0);
  });

  it("gives up after its time over TCP, too", async () => {
    const server = await start(({ transport }) => (transport === "udp" ? { isTruncated: true } : { isSilent: true }));
    const timers = new FakeTimers();
    const asking = askServer(server, question, { timers, timeoutMs: 2_000 });
    const failed = expect(asking).rejects.toThrow("timeout over TCP");
    await server.answered(2);
    await timers.pass(2_000);
    await failed;
  });

  it("says at once that nobody listens", async () => {
    const server = await start(() => ({}));
    await server.close();
    await expect(askServer(server, question, options)).rejects.toThrow("ECONNREFUSED");
  });

  it("says that a reply over TCP is none", async () => {
    const server = await start(({ transport }) =>
      transport === "udp" ? { isTruncated: true } : { raw: () => Buffer.from("garbage") },
    );
    await expect(askServer(server, question, options)).rejects.toThrow("no reply to the question over TCP");
  });

  it("leaves out records that make no sense", async () => {
    const server = await start(() => ({
      answers: [
        { name: "a.test", type: "CNAME", class: "IN", ttl: 60, data: `${"b ".repeat(3)}.test` },
        { name: "a.test", type: "SRV", class: "IN", ttl: 60, data: { port: 1, target: "<x>.test" } },
        { name: "a.test", type: "A", class: "CH", ttl: 60, data: "10.0.0.9" },
        ...answers,
      ],
    }));
    expect((await askServer(server, question, options)).records).toHaveLength(1);
  });

  it("takes a time to live with its highest bit set for none", async () => {
    const server = await start(() => ({ answers: addressRecords("a.test", ["10.0.0.1"], 2 ** 31) }));
    expect((await askServer(server, question, options)).records[0]!.ttlMs).toBe(0);
  });
});

function reply(query: Buffer, asked: { name: string; type: "A" | "AAAA" }): Buffer {
  const forged = addressRecords("a.test", ["10.6.6.6"]);
  return encode({ type: "response", id: decode(query).id!, questions: [asked], answers: forged });
}

function pointingAtItself(query: Buffer): Buffer {
  const bytes = Buffer.concat([query.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
  bytes[2]! |= 0x80;
  return bytes;
}
