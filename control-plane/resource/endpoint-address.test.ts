import { describe, expect, it } from "vitest";
import { normalizeEndpointAddress } from "./endpoint-address.ts";

describe("normalizeEndpointAddress", () => {
  it.each([
    ["127.0.0.1:80", "127.0.0.1:80"],
    ["127.000.000.001:080", "127.0.0.1:80"],
    ["[::1]:80", "[::1]:80"],
    ["[0000:0000:0000:0000:0000:0000:0000:0001]:80", "[::1]:80"],
    ["[FE80:0:0:0::A]:1", "[fe80::a]:1"],
  ])("writes %s as %s", (given, want) => {
    expect(normalizeEndpointAddress(given)).toBe(want);
    expect(normalizeEndpointAddress(want)).toBe(want);
  });

  it.each([
    "",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "a.test:80",
    "::1",
    "[::1]",
    "::1:80x",
    "[fe80::1%eth0]:80",
    "1.2.3:80",
  ])("refuses %j", (given) => {
    expect(normalizeEndpointAddress(given)).toBeNull();
  });
});
