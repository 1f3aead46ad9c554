import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dnsLookup, type LookupAddresses } from "./lookup-addresses.ts";

const TYPE_A = 1;
const TYPE_AAAA = 28;
const NAME_ERROR = 3;
const SERVER_FAILURE = 2;

interface Zone {
  readonly a?: readonly string[];
  readonly aaaa?: readonly (readonly number[])[];
  readonly rcode?: number;
}

/** A name server for one question a datagram, on loopback. */
async function startNameServer(zones: Record<string, Zone>): Promise<Socket> {
  const server = createSocket("udp4");
  server.on("message", (query, peer) => {
    const labels: string[] = [];
    let at = 12;
    for (; query[at]! > 0; at += query[at]! + 1) labels.push(query.toString("latin1", at + 1, at + 1 + query[at]!));
    const type = query.readUInt16BE(at + 1);
    const question = query.subarray(12, at + 5);
    const zone = zones[labels.join(".").toLowerCase()] ?? { rcode: NAME_ERROR };
    const addresses =
      type === TYPE_A
        ? (zone.a ?? []).map((text) => text.split(".").map(Number))
        : type === TYPE_AAAA
          ? (zone.aaaa ?? [])
          : [];
    const records = addresses.map((bytes, i) => {
      const record = Buffer.alloc(12 + bytes.length);
      record.writeUInt16BE(0xc00c, 0);
      record.writeUInt16BE(type, 2);
      record.writeUInt16BE(1, 4);
      record.writeUInt32BE(30 + i, 6);
      record.writeUInt16BE(bytes.length, 10);
      Buffer.from(bytes).copy(record, 12);
      return record;
    });
    const head = Buffer.alloc(12);
    head.writeUInt16BE(query.readUInt16BE(0), 0);
    head.writeUInt16BE(0x8180 | (zone.rcode ?? 0), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    server.send(Buffer.concat([head, question, ...records]), peer.port, peer.address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

describe("dnsLookup", () => {
  const zones: Record<string, Zone> = {
    "both.test": { a: ["10.0.0.2", "10.0.0.1"], aaaa: [[0xfd, ...Array<number>(14).fill(0), 1]] },
    "six.test": { aaaa: [[0xfd, ...Array<number>(14).fill(0), 1]] },
    "empty.test": {},
    "broken.test": { rcode: SERVER_FAILURE },
  };
  let server: Socket;
  let lookup: LookupAddresses;
  beforeEach(async () => {
    server = await startNameServer(zones);
    lookup = dnsLookup({ timeoutMs: 500, tries: 1, servers: [`127.0.0.1:${server.address().port}`] });
  });
  afterEach(() => {
    server.close();
  });

  it("gives every A record, with the shortest time to live", async () => {
    const answer = await lookup("both.test");
    expect(answer).toMatchObject({ type: "found", ttlMs: 30_000 });
    expect(answer.type === "found" && [...answer.addresses].sort()).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("gives AAAA records where there are no A records", async () => {
    expect(await lookup("six.test")).toEqual({ type: "found", addresses: ["fd00::1"], ttlMs: 30_000 });
  });

  it.each(["nobody.test", "empty.test", `${"a".repeat(70)}.test`])("says that %s is not there", async (name) => {
    expect(await lookup(name)).toEqual({ type: "not_found" });
  });

  it("says that the server failed, and asks again the next time", async () => {
    expect(await lookup("broken.test")).toMatchObject({ type: "failed" });
    expect(await lookup("both.test")).toMatchObject({ type: "found" });
  });

  it("keeps no answer of its own: a change is seen at the next lookup", async () => {
    await lookup("both.test");
    zones["both.test"] = { a: ["10.0.0.7"] };
    expect(await lookup("both.test")).toMatchObject({ addresses: ["10.0.0.7"] });
  });
});
