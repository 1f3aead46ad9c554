import { type AddressInfo, createServer } from "node:net";
import { connect } from "node:tls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readClientHello } from "./client-hello.ts";

const maxBytes = 16_384;

/** What Node's own client sends first. */
async function realHello(options: Parameters<typeof connect>[1]): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const server = createServer((socket) => {
    const pieces: Buffer[] = [];
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      pieces.push(bytes);
      const all = Buffer.concat(pieces);
      if (all.length >= 5 + all.readUInt16BE(3)) resolve(all);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1", options);
  client.on("error", () => {});
  const bytes = await promise;
  client.destroy();
  server.close();
  return bytes;
}

function vector(lengthBytes: number, ...content: (Buffer | number[])[]): Buffer {
  const body = Buffer.concat(content.map((piece) => Buffer.from(piece)));
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}

function nameExtension(...names: string[]): Buffer {
  const list = names.map((name) => Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name, "latin1"))]));
  return Buffer.concat([Buffer.from([0, 0]), vector(2, vector(2, ...list))]);
}

function message(...extensions: Buffer[]): Buffer {
  const body = [Buffer.alloc(34, 3), vector(1, Buffer.alloc(32)), vector(2, [0x13, 0x01]), vector(1, [0])];
  return Buffer.concat([Buffer.from([1]), vector(3, ...body, vector(2, ...extensions))]);
}

function records(bytes: Buffer, pieceBytes = 16_384): Buffer {
  const all: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    all.push(Buffer.from([0x16, 3, 1]), vector(2, bytes.subarray(at, at + pieceBytes)));
  }
  return Buffer.concat(all);
}

const read = (bytes: Uint8Array) => readClientHello(bytes, bytes.length, maxBytes);

describe("readClientHello", () => {
  it.each([
    { options: { servername: "A.Example.test" }, want: "a.example.test" },
    { options: { servername: "a.test", maxVersion: "TLSv1.2" as const }, want: "a.test" },
    { options: { servername: "" }, want: "" },
  ])("reads what Node's client sends: $options", async ({ options, want }) => {
    const bytes = await realHello(options);
    expect(read(bytes)).toEqual({ serverName: want });
    for (let end = 0; end < bytes.length; end++) expect(readClientHello(bytes, end, maxBytes)).toBe("incomplete");
  });

  it("reads a hello that is spread over records, in every way", () => {
    const hello = message(Buffer.from([0, 23, 0, 0]), nameExtension("a.test"));
    for (let pieceBytes = 1; pieceBytes <= hello.length; pieceBytes++) {
      const bytes = records(hello, pieceBytes);
      expect(read(bytes)).toEqual({ serverName: "a.test" });
      expect(readClientHello(bytes, bytes.length - 1, maxBytes)).toBe("incomplete");
    }
  });

  it("knows no name where there is none, and drops a trailing dot", () => {
    expect(read(records(message()))).toEqual({ serverName: "" });
    const withoutExtensions = message().subarray(0, -2);
    withoutExtensions.writeUIntBE(withoutExtensions.length - 4, 1, 3);
    expect(read(records(withoutExtensions))).toEqual({ serverName: "" });
    expect(read(records(message(nameExtension("a.test."))))).toEqual({ serverName: "a.test" });
  });

  it("leaves what follows the hello to others", () => {
    const bytes = Buffer.concat([records(message(nameExtension("a.test"))), Buffer.from([0x14, 3, 3, 0, 1, 1])]);
    expect(read(bytes)).toEqual({ serverName: "a.test" });
  });

  it.each([
    ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "not_tls"],
    ["one byte of it", Buffer.from("G"), "not_tls"],
    ["another version", Buffer.from([0x16, 2, 0]), "not_tls"],
    ["nothing", Buffer.alloc(0), "incomplete"],
    ["an empty record", Buffer.from([0x16, 3, 1, 0, 0]), "malformed"],
    ["a record that is too long", Buffer.from([0x16, 3, 1, 0x40, 1]), "malformed"],
    ["another message", records(Buffer.from([2, 0, 0, 0])), "malformed"],
    ["another record in between", Buffer.concat([records(message().subarray(0, 9)), Buffer.from([0x17])]), "malformed"],
    ["a hello in 200 records", records(message(nameExtension("a".repeat(150))), 1), "malformed"],
    ["a hello of 16 MB", records(Buffer.from([1, 0xff, 0xff, 0xff, 3, 3])), "too_large"],
    ["two names", records(message(nameExtension("a.test", "b.test"))), "malformed"],
    ["two lists of names", records(message(nameExtension("a.test"), nameExtension("a.test"))), "malformed"],
    ["an empty name", records(message(nameExtension(""))), "malformed"],
    ["a name with NUL", records(message(nameExtension("a.test\0.b"))), "malformed"],
    ["a name beyond ASCII", records(message(nameExtension("\u00e4.test"))), "malformed"],
    ["a name that is too long", records(message(nameExtension("a".repeat(255)))), "malformed"],
    ["an extension that is cut", records(message(Buffer.from([0, 0, 0, 9, 0]))), "malformed"],
    [
      "bytes behind the extensions",
      records(Buffer.concat([Buffer.from([1, 0, 0, 44]), Buffer.alloc(44)])),
      "malformed",
    ],
  ] as const)("refuses %s", (_, bytes, want) => {
    expect(read(bytes)).toBe(want);
  });

  it("never throws, never reads past the end, and says the same of more bytes once it has decided", () => {
    const seed = records(message(Buffer.from([0, 16, 0, 2, 0, 0]), nameExtension("a.example.test")), 40);
    const mutation = fc.record({ at: fc.nat(seed.length - 1), byte: fc.nat(255) });
    const mutant = fc.array(mutation, { maxLength: 6 }).map((changes) => {
      const bytes = Buffer.from(seed);
      for (const { at, byte } of changes) bytes[at] = byte;
      return bytes;
    });
    const anyBytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.oneof(mutant, anyBytes), (bytes) => {
        let decided: unknown = "incomplete";
        for (let end = 0; end <= bytes.length; end++) {
          const reading = readClientHello(bytes.subarray(0, end), end, maxBytes);
          if (decided !== "incomplete") expect(reading).toEqual(decided);
          decided = reading;
        }
      }),
      { numRuns: 300 },
    );
  });
});
