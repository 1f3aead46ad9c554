import { describe, expect, it } from "vitest";
import { RequestHead } from "./request-head.ts";
import { keptLines, requestForwards } from "./write-head.ts";

const trace = "0af7651916cd43dd8448eb211c80319c";
const span = "b7ad6b7169203331";

/** What travels on of a request with these lines, and the trace that was read. */
function read(lines: string): { kept: string; traceId: string | null } {
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`, "latin1");
  const head = new RequestHead();
  if (head.parse(bytes, 0, bytes.length) !== bytes.length) throw new Error("refused");
  head.takeText(bytes);
  const at = head.traceparentIndex;
  return {
    kept: keptLines(head.fields, head.fieldsStart, head.fieldsStart, requestForwards),
    traceId: at < 0 ? null : head.fields.valueAt(at, bytes).slice(3, 35),
  };
}

describe("readTraceContext", () => {
  it.each([
    { name: "version 00", value: `00-${trace}-${span}-01` },
    { name: "a later version", value: `cc-${trace}-${span}-00` },
    { name: "a later version with more behind it", value: `cc-${trace}-${span}-01-what-comes` },
  ])("passes on $name unchanged, with its state", ({ value }) => {
    const lines = `TraceParent: ${value}\r\nX-A: 1\r\ntracestate: a=1,b=2\r\nTracestate: c=3\r\n`;
    expect(read(lines)).toEqual({ kept: lines, traceId: trace });
  });

  it.each([
    { name: "a version that is reserved", value: `ff-${trace}-${span}-01` },
    { name: "upper case", value: `00-${trace.toUpperCase()}-${span}-01` },
    { name: "a trace of zeros", value: `00-${"0".repeat(32)}-${span}-01` },
    { name: "a span of zeros", value: `00-${trace}-${"0".repeat(16)}-01` },
    { name: "version 00 with more behind it", value: `00-${trace}-${span}-01-x` },
    { name: "a later version with more behind it, not set apart", value: `cc-${trace}-${span}-01x` },
    { name: "no dash", value: `00-${trace}x${span}-01` },
    { name: "too little", value: `00-${trace}-${span}-0` },
    { name: "nothing", value: "" },
  ])("drops both fields for $name", ({ value }) => {
    const lines = `traceparent: ${value}\r\nX-A: 1\r\ntracestate: a=1\r\n`;
    expect(read(lines)).toEqual({ kept: "X-A: 1\r\n", traceId: null });
  });

  it("drops what comes twice, a state without its parent, and aliases with an underscore", () => {
    const line = `traceparent: 00-${trace}-${span}-01\r\n`;
    expect(read(line + line).kept).toBe("");
    expect(read("tracestate: a=1\r\n").kept).toBe("");
    expect(
      read("trace_parent: a\r\nx_forwarded_for: 192.0.2.1\r\nx_real_ip: 192.0.2.1\r\nX-Kong_Request-Id: a\r\n").kept,
    ).toBe("trace_parent: a\r\n");
  });
});
