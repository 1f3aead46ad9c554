import { describe, expect, it } from "vitest";
import { parseRange, TrustedProxies } from "./trusted-proxies.ts";

describe("parseRange", () => {
  it.each(["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "fd00::/8", "::1", "::/0"])("takes %s", (text) => {
    expect(parseRange(text)).not.toBeNull();
  });

  it.each([
    "",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0/8",
    "a.test",
    "10.0.0.0/",
    "/8",
    "10.0.0.0/8/8",
    "fe80::1%eth0",
    "10.0.0.0/-1",
  ])("refuses %j", (text) => {
    expect(parseRange(text)).toBeNull();
  });
});

describe("TrustedProxies", () => {
  const trusted = new TrustedProxies(["10.0.0.0/8", "192.0.2.1", "fd00::/8", "fe80::/10"]);

  it.each([
    ["10.255.0.1", true],
    ["11.0.0.1", false],
    ["192.0.2.1", true],
    ["192.0.2.2", false],
    ["fd12::1", true],
    ["fe00::1", false],
    ["::ffff:10.0.0.1", true],
    ["::ffff:0a00:0001", true],
    ["::ffff:11.0.0.1", false],
    ["fe80::1%eth0", true],
  ])("trusts %s: %j", (address, isTrusted) => {
    expect(trusted.has(address)).toBe(isTrusted);
  });
});
