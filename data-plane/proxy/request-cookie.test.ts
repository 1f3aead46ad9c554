import { describe, expect, it } from "vitest";
import { defaultRequestLimits } from "../http1/field-lines.ts";
import { RequestHead } from "../http1/request-head.ts";
import { requestCookie, setCookieLine } from "./request-cookie.ts";

function cookieOf(lines: readonly string[], name = "id"): string {
  const bytes = Buffer.from(
    `GET / HTTP/1.1\r\nHost: a.test\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`,
    "latin1",
  );
  const head = new RequestHead(defaultRequestLimits);
  expect(head.parse(bytes, 0, bytes.length)).toBe(bytes.length);
  return requestCookie(head.fields, bytes, name);
}

describe("requestCookie", () => {
  it.each([
    { name: "alone", lines: ["Cookie: id=a1"], want: "a1" },
    { name: "among others", lines: ["Cookie: x=1; id=a1; y=2"], want: "a1" },
    { name: "in a field of any case", lines: ["cOOKIE: id=a1"], want: "a1" },
    { name: "in the second of two fields", lines: ["Cookie: x=1", "Cookie: id=a1"], want: "a1" },
    { name: "twice: the first counts", lines: ["Cookie: id=a1; id=b2", "Cookie: id=c3"], want: "a1" },
    { name: "without spaces", lines: ["Cookie: x=1;id=a1;y=2"], want: "a1" },
    { name: "with too many spaces", lines: ["Cookie:   x=1 ;  id = a1  ; y=2"], want: "a1" },
    { name: "with quotes, which are its own", lines: ['Cookie: id="a1"'], want: '"a1"' },
    { name: "with equals signs inside", lines: ["Cookie: id=a=1=="], want: "a=1==" },
    { name: "behind something that is no cookie", lines: ["Cookie: nonsense; ;; =; id=a1"], want: "a1" },
    { name: "behind one whose value has a name like it", lines: ["Cookie: x=id=no; id=a1"], want: "a1" },
    { name: "with bytes that are no ASCII", lines: ["Cookie: id=\xe4\xf6"], want: "\xe4\xf6" },
    { name: "empty", lines: ["Cookie: id=; x=1"], want: "" },
    { name: "of another case", lines: ["Cookie: ID=a1"], want: "" },
    { name: "with a longer name", lines: ["Cookie: xid=a1; idx=b2"], want: "" },
    { name: "without an equals sign", lines: ["Cookie: id"], want: "" },
    { name: "in a field of another name", lines: ["Cookie2: id=a1", "X-Cookie: id=a1"], want: "" },
    { name: "nowhere", lines: [], want: "" },
  ])("finds one $name", ({ lines, want }) => {
    expect(cookieOf(lines)).toBe(want);
  });
});

describe("setCookieLine", () => {
  it("says what RFC 6265 asks for, and ends its line", () => {
    expect(setCookieLine({ name: "id", path: "/a" }, "a1")).toBe(
      "Set-Cookie: id=a1; Path=/a; HttpOnly; SameSite=Lax\r\n",
    );
  });
});
