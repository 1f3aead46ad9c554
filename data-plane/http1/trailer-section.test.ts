import { describe, expect, it } from "vitest";
import { TrailerSection, trailerMaxBytes, trailerMaxCount } from "./trailer-section.ts";

function kept(text: string, nominated: readonly string[] = []): string {
  const section = new TrailerSection();
  section.start(nominated);
  for (const byte of Buffer.from(text, "latin1")) if (section.add(byte)) throw new Error("too large");
  return section.kept();
}

describe("TrailerSection", () => {
  it.each(["Grpc-Status: 0", "Digest: sha-256=x", 'ETag: "x"', "Server-Timing: a", "X-Check: \xe9", "Empty:"])(
    "passes %s on as it came",
    (line) => {
      expect(kept(`${line}\r\nB: 2\r\n`)).toBe(`${line}\r\nB: 2\r\n`);
    },
  );

  it.each([
    "Transfer-Encoding",
    "Content-Length",
    "Host",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Authorization",
    "Cookie",
    "Set-Cookie",
    "Cache-Control",
    "If-Match",
    "Range",
    "Content-Type",
    "Content-Encoding",
    "X-Forwarded-For",
    "X-Forwarded-Anything",
    "X_Real_IP",
    "x-kong-request-id",
    "Content_Length",
    "Via",
    "X-Named",
  ])("leaves %s out", (name) => {
    expect(kept(`A: 1\r\n${name}: x\r\nB: 2\r\n`, ["x-named"])).toBe("A: 1\r\nB: 2\r\n");
  });

  it("keeps its own copy of what was nominated", () => {
    const nominated = ["x-a"];
    const section = new TrailerSection();
    section.start(nominated);
    nominated.length = 0;
    for (const byte of Buffer.from("X-A: 1\r\n")) section.add(byte);
    expect(section.kept()).toBe("");
  });

  it("is empty again for the next message", () => {
    const section = new TrailerSection();
    section.start([]);
    for (const byte of Buffer.from("A: 1\r\n")) section.add(byte);
    section.start([]);
    expect(section.kept()).toBe("");
  });

  it("takes so many lines and bytes, and no more", () => {
    const section = new TrailerSection();
    section.start([]);
    for (let count = 1; count <= trailerMaxCount; count++) expect(section.beginLine()).toBe(false);
    expect(section.beginLine()).toBe(true);
    for (let count = 1; count <= trailerMaxBytes; count++) expect(section.add(0x61)).toBe(false);
    expect(section.add(0x61)).toBe(true);
  });
});
