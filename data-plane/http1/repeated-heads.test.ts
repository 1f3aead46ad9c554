import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestHead } from "./request-head.ts";
import { ResponseHead } from "./response-head.ts";

const requestLines = [
  "GET / HTTP/1.1",
  "GET /longer/path?q=1 HTTP/1.1",
  "GET / HTTP/1.0",
  "POST /p HTTP/1.1",
  "GET http://other.test:81/a HTTP/1.1",
  "GET x HTTP/1.1",
  "OPTIONS * HTTP/1.1",
];
const requestFields = [
  "Host: a.test",
  "Host: b.test:80",
  "Host: bad host",
  "Content-Length: 5",
  "Content-Length: 6",
  "Transfer-Encoding: chunked",
  "Connection: keep-alive",
  "Connection: close, X-Mine",
  "Connection: Upgrade",
  "Connection: Upgrade\r\nUpgrade: websocket",
  "Expect: 100-continue",
  "TE: trailers",
  "X-Mine: 1",
  "X_Forwarded_For: 1",
  "X-Forwarded-For: 1",
  "Accept: */*",
  "Penstock-Debug: attempts",
  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "Bad Name: 1",
  `X-Long: ${"y".repeat(1_100)}`,
];
const statusLines = [
  "HTTP/1.1 200 OK",
  "HTTP/1.1 204 No Content",
  "HTTP/1.0 200 OK",
  "HTTP/1.1 101 S",
  "HTTP/1.1 304 N",
];
const responseFields = [
  "Content-Length: 5",
  "Content-Length: 0",
  "Transfer-Encoding: chunked",
  "Connection: close",
  "Connection: keep-alive, Date",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Keep-Alive: timeout=5",
  "Date: Sun, 06 Nov 1994 08:49:37 GMT",
  "X: 1",
];

interface Sent {
  readonly line: string;
  readonly fields: readonly string[];
  /** Bytes at the end that have not come. */
  readonly missing: number;
  readonly offset: number;
}

/** Few fields and lines, so that the same ones come again, and come again in another place or with another line. */
const sequence = (lines: readonly string[], fields: readonly string[]) =>
  fc.array(fc.subarray([...fields], { maxLength: 5 }), { minLength: 1, maxLength: 2 }).chain((sections) =>
    fc.array(
      fc.record({
        line: fc.constantFrom(...lines),
        fields: fc.constantFrom(...sections),
        missing: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(30)),
        offset: fc.nat(40),
      }),
      { minLength: 2, maxLength: 6 },
    ),
  );

const memory = Buffer.alloc(65_536);

/** Puts a head where others were read before, and says where it begins and how far it has come. */
function put({ line, fields, missing, offset }: Sent): readonly [start: number, end: number] {
  const length = memory.write(`${[line, ...fields].join("\r\n")}\r\n\r\n`, offset, "latin1");
  return [offset, offset + Math.max(length - missing, 1)];
}

/** All that a head says, by the text of its fields instead of where they lie. */
function saidOf(head: RequestHead | ResponseHead, outcome: number): unknown {
  if (outcome <= 0) return outcome;
  const { fields, ...rest } = head;
  head.takeText(memory);
  const lines = Array.from({ length: fields.count }, (_, i) => [
    memory.toString("latin1", fields.nameStart[i]!, fields.nameEnd[i]!),
    fields.valueAt(i, memory),
    fields.textAt(fields.nameStart[i]!, fields.lineEnd[i]!),
    fields.kindAt(i),
  ]);
  const hasDate = head instanceof ResponseHead && head.hasDate;
  return { outcome, rest, lines, nominated: [...fields.nominated], hasDate };
}

describe("a head that is read with an object that has read others", () => {
  it("says what it says to a new one, as a request", () => {
    fc.assert(
      fc.property(sequence(requestLines, requestFields), (sent) => {
        const used = new RequestHead();
        for (const one of sent) {
          const [start, end] = put(one);
          const fresh = new RequestHead();
          const want = saidOf(fresh, fresh.parse(memory, start, end));
          expect(saidOf(used, used.parse(memory, start, end))).toEqual(want);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it("says what it says to a new one, as an answer", () => {
    const isToHead = fc.array(fc.boolean(), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(sequence(statusLines, responseFields), isToHead, (sent, toHead) => {
        const used = new ResponseHead();
        for (const [i, one] of sent.entries()) {
          const [start, end] = put(one);
          const fresh = new ResponseHead();
          const want = saidOf(fresh, fresh.parse(memory, start, end, toHead[i]!));
          expect(saidOf(used, used.parse(memory, start, end, toHead[i]!))).toEqual(want);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it("takes the same fields for the same, wherever they lie, and none that differ in one byte", () => {
    const head = new RequestHead();
    const sent = { line: "GET / HTTP/1.1", fields: ["Host: a.test", "X: 1"], missing: 0, offset: 0 };
    head.parse(memory, ...put(sent));
    const section = head.byteLength - "GET / HTTP/1.1\r\n".length;
    const [, end] = put({ ...sent, offset: 7 });
    expect(head.fields.readAgain(memory, end - section, end)).toBe(end);
    expect(head.fields.readAgain(memory, end - section, end - 1)).toBe(0);
    for (let at = end - section; at < end; at++) {
      memory[at]! ^= 1;
      expect(head.fields.readAgain(memory, end - section, end)).toBe(0);
      memory[at]! ^= 1;
    }
  });
});
