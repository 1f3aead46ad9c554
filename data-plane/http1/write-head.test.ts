import { describe, expect, it } from "vitest";
import { RequestHead } from "./request-head.ts";
import { ResponseHead } from "./response-head.ts";
import { keptLines, requestForwards, responseForwards } from "./write-head.ts";

/** The field lines that travel on, of a request with these lines beside Host. */
function kept(lines: string): string {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`, "latin1");
  const head = new RequestHead();
  expect(head.parse(bytes, 0, bytes.length)).toBe(bytes.length);
  head.takeText(bytes);
  return keptLines(head.fields, head.fieldsStart, head.fieldsStart, requestForwards);
}

describe("keptLines", () => {
  it.each([
    ["usual fields pass as they came", "A:1\r\nb:  2 \r\nC: \xff\r\n", "A:1\r\nb:  2 \r\nC: \xff\r\n"],
    ["Host does not", "", ""],
    ["repeated fields keep their order", "X: 1\r\nY: 2\r\nX: 3\r\n", "X: 1\r\nY: 2\r\nX: 3\r\n"],
    ["Connection and what it nominates stay here", "X: 1\r\nConnection: x, close\r\nY: 2\r\n", "Y: 2\r\n"],
    [
      "a nominated field stays here wherever it stands",
      "Connection: y\r\nX: 1\r\nY: 2\r\ny: 3\r\nZ: 4\r\n",
      "X: 1\r\nZ: 4\r\n",
    ],
    [
      "hop-by-hop fields stay here",
      "Keep-Alive: 1\r\nProxy-Connection: a\r\nTE: gzip\r\nUpgrade: h2c\r\nProxy: x\r\nA: 1\r\n",
      "A: 1\r\n",
    ],
    ["what we set is replaced", "X-Forwarded-Proto: x\r\nX-Real-IP: y\r\nX-Kong-Request-Id: z\r\nA: 1\r\n", "A: 1\r\n"],
    [
      "its underscore aliases are dropped",
      "X_Forwarded_For: 1\r\nx_real-ip: 2\r\nContent_Length: 3\r\nA_b: 4\r\n",
      "A_b: 4\r\n",
    ],
    ["framing does not, it is written anew", "Content-Length: 0\r\nA: 1\r\n", "A: 1\r\n"],
    [
      "credentials and Trailer pass",
      "Proxy-Authorization: a\r\nAuthorization: b\r\nTrailer: c\r\n",
      "Proxy-Authorization: a\r\nAuthorization: b\r\nTrailer: c\r\n",
    ],
  ])("%s", (_, lines, want) => {
    expect(kept(lines)).toBe(want);
  });

  it("takes of the start line what it is told to, also when no field follows", () => {
    for (const lines of ["", "Via: x\r\n", "Connection: close\r\n"]) {
      const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${lines}\r\n`, "latin1");
      const head = new ResponseHead();
      expect(head.parse(bytes, 0, bytes.length, false)).toBe(bytes.length);
      head.takeText(bytes);
      const want = lines.startsWith("Via") ? `200 OK\r\n${lines}` : "200 OK\r\n";
      expect(keptLines(head.fields, head.statusStart, head.fieldsStart, responseForwards)).toBe(want);
    }
  });
});
