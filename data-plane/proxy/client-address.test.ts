import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientAddress } from "./client-address.ts";
import { TrustedProxies } from "./trusted-proxies.ts";

const trusted = new TrustedProxies(["10.0.0.0/8", "fd00::/8"]);
const peer = "10.0.0.1";

describe("clientAddress", () => {
  it.each([
    { name: "nothing said", want: peer },
    { name: "one hop", forwardedFor: "192.0.2.1", want: "192.0.2.1" },
    { name: "a spoofed hop before the real one", forwardedFor: "127.0.0.1, 192.0.2.1", want: "192.0.2.1" },
    { name: "trusted hops behind it", forwardedFor: "203.0.113.9, 192.0.2.1, 10.1.1.1,10.2.2.2", want: "192.0.2.1" },
    { name: "trusted hops only", forwardedFor: "10.3.3.3, 10.1.1.1", want: "10.3.3.3" },
    { name: "no address at the end", forwardedFor: "192.0.2.1, unknown", want: peer },
    { name: "no address behind a trusted hop", forwardedFor: "192.0.2.1, nonsense, 10.1.1.1", want: "10.1.1.1" },
    { name: "an empty entry", forwardedFor: "192.0.2.1,", want: peer },
    { name: "a port", forwardedFor: "192.0.2.1:4711", want: "192.0.2.1" },
    { name: "IPv6", forwardedFor: "2001:DB8::1", want: "2001:db8::1" },
    { name: "IPv6 with brackets and port", forwardedFor: "[2001:db8::1]:80, [fd00::1]", want: "2001:db8::1" },
    { name: "IPv4 within IPv6", forwardedFor: "::ffff:192.0.2.1", want: "192.0.2.1" },
    { name: "a zone", forwardedFor: "fe80::1%eth0", want: peer },
    { name: "a line break's remains", forwardedFor: "192.0.2.1 x", want: peer },
    { name: "Forwarded", forwarded: "for=192.0.2.1;proto=https, for=10.1.1.1", want: "192.0.2.1" },
    {
      name: "Forwarded in other spellings",
      forwarded: 'by=x;FOR="[2001:db8::1]:80" ; host="a,b;c"',
      want: "2001:db8::1",
    },
    { name: "Forwarded without for", forwarded: "for=192.0.2.1, by=10.1.1.1", want: peer },
    { name: "a hidden hop in Forwarded", forwarded: "for=_hidden", want: peer },
    { name: "broken quotes in Forwarded", forwarded: 'for="192.0.2.1', want: peer },
    { name: "X-Real-IP", realIp: "192.0.2.1", want: "192.0.2.1" },
    {
      name: "all three",
      forwardedFor: "192.0.2.1",
      forwarded: "for=192.0.2.2",
      realIp: "192.0.2.3",
      want: "192.0.2.1",
    },
    { name: "two", forwarded: "for=192.0.2.2", realIp: "192.0.2.3", want: "192.0.2.2" },
  ])("with $name", ({ forwardedFor = "", forwarded = "", realIp = "", want }) => {
    expect(clientAddress(peer, { forwardedFor, forwarded, realIp }, trusted)).toBe(want);
  });

  it("believes nothing before the last hop that is not trusted", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.ipV4().filter((address) => !trusted.has(address)),
        fc.nat(5),
        (spoofed, real, hops) => {
          const forwardedFor = [spoofed, real, ...Array<string>(hops).fill("10.9.9.9")].join(", ");
          expect(clientAddress(peer, { forwardedFor, forwarded: "", realIp: "" }, trusted)).toBe(real);
        },
      ),
    );
  });

  it("never fails, and looks at a bounded number of hops", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (forwarded, realIp) => {
        expect(clientAddress(peer, { forwardedFor: "", forwarded, realIp }, trusted)).toBeTypeOf("string");
      }),
    );
    const forwardedFor = `192.0.2.1${", 10.1.1.1".repeat(64)}`;
    expect(clientAddress(peer, { forwardedFor, forwarded: "", realIp: "" }, trusted)).toBe("10.1.1.1");
  });
});
