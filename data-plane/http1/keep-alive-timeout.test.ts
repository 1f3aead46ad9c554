import { describe, expect, it } from "vitest";
import { readKeepAliveTimeout } from "./keep-alive-timeout.ts";

describe("readKeepAliveTimeout", () => {
  it.each([
    { value: "timeout=5", want: 5 },
    { value: "timeout=75, max=1000", want: 75 },
    { value: "max=99, Timeout=3", want: 3 },
    { value: "timeout=0", want: 0 },
    { value: "timeout=99999999999999999999", want: 86_400 },
    { value: "timeout=", want: -1 },
    { value: "timeout=x", want: -1 },
    { value: "timeout", want: -1 },
    { value: "max=5", want: -1 },
    { value: "", want: -1 },
  ])("reads $value as $want", ({ value, want }) => {
    const bytes = Buffer.from(`Keep-Alive: ${value}\r\n`);
    expect(readKeepAliveTimeout(bytes, 12, bytes.length - 2)).toBe(want);
  });
});
