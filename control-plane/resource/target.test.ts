import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { checkResource } from "./check-resource.ts";
import { normalizeTarget, targetRules } from "./target.ts";

const created = { nowMs: 0, stored: null };

const loopback = "0000:0000:0000:0000:0000:0000:0000:0001";

describe("normalizeTarget", () => {
  it.each([
    ["httpbun.com:80", "httpbun.com:80"],
    ["httpbun.com", "httpbun.com:8000"],
    ["UPPER.test:1", "UPPER.test:1"],
    ["a_b-c.test.:1", "a_b-c.test.:1"],
    ["127.0.0.1:9001", "127.0.0.1:9001"],
    ["127.000.000.001", "127.0.0.1:8000"],
    ["a.test:0080", "a.test:80"],
    ["::1", `[${loopback}]:8000`],
    ["[::1]", `[${loopback}]:8000`],
    ["[::1]:81", `[${loopback}]:81`],
    ["[FE80::A]:81", "[fe80:0000:0000:0000:0000:0000:0000:000a]:81"],
    ["__proto__:1", "__proto__:1"],
  ])("stores %s as %s", (given, want) => {
    expect(normalizeTarget(given)).toBe(want);
  });

  it.each([
    "",
    "a b:80",
    "http://a.test:80",
    ":80",
    "a.test:",
    "a.test:x",
    "a.test:65536",
    "[::1]:65536",
    "[::1",
    "[::1]x",
    "[]:80",
    "fe80::1%eth0",
    "1.2.3",
    "256.1.1.1:80",
    "12:80",
    "a..b",
    "-",
    "a,b:1",
    "a.test:80\n",
  ])("refuses %j", (given) => {
    expect(normalizeTarget(given)).toBeNull();
  });

  it("leaves what it stored as it is", () => {
    const hosts = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
    );
    fc.assert(
      fc.property(hosts, fc.integer({ min: 0, max: 65535 }), (host, port) => {
        const stored = normalizeTarget(`${host}:${port}`);
        expect(stored).toMatch(new RegExp(`:${port}$`));
        expect(normalizeTarget(stored!)).toBe(stored);
      }),
    );
  });
});

describe("targetRules", () => {
  const told = (init: object) =>
    checkResource(targetRules, create(TargetSchema, init), created).map(({ field, message }) => `${field}: ${message}`);

  it("says everything that is wrong at once", () => {
    expect(told({ target: "a b:80", weight: 65536, tags: ["x", "p,q"] })).toEqual([
      "upstream: required field missing",
      "weight: value should be between 0 and 65535",
      "target: Invalid target; not a valid hostname or ip address",
      "tags.1: invalid tag 'p,q': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
    ]);
  });

  it("says that the address is missing, and no more about it", () => {
    expect(told({ upstream: { id: "x" } })).toEqual(["target: required field missing"]);
  });

  it.each(["_http._tcp.a.test", "_http._tcp.a", "_sip._udp.b.test.:5060", "a_b.test", "x._tcp.test"])(
    "takes %s",
    (target) => {
      expect(told({ target, upstream: { id: "x" } })).toEqual([]);
    },
  );

  it.each(["_tcp.a.test", "_http.a.test:80", "_http._tcp", "_http._tcp.", "_._tcp.a", "__proto__:1"])(
    "refuses %s, which is a name of a service without one",
    (target) => {
      expect(told({ target, upstream: { id: "x" } })[0]).toMatch(
        /^target: invalid SRV name: '.*' \(expected _service\._protocol\.name\)$/,
      );
    },
  );

  it("does not point at the control plane's own ports", () => {
    const ownAddresses = [{ hosts: ["127.0.0.1"], port: 8001 }];
    const toldOf = (target: string) =>
      checkResource(targetRules, create(TargetSchema, { target, upstream: { id: "x" } }), { ...created, ownAddresses });
    expect(toldOf("localhost:8001").map(({ field, message }) => `${field}: ${message}`)).toEqual([
      "target: points at the control plane's own port",
    ]);
    expect(toldOf("127.0.0.1:8002")).toEqual([]);
  });

  it("is unique within its upstream", () => {
    const target = create(TargetSchema, { target: "127.0.0.1:9001", upstream: { id: "u-1" } });
    expect(targetRules.uniqueKeys(target)).toEqual([
      {
        key: "address:u-1:127.0.0.1:9001",
        field: "target",
        duplicateMessage: `UNIQUE violation detected on '{target="127.0.0.1:9001",upstream={id="u-1"}}'`,
      },
    ]);
  });

  it("stores each tag once", () => {
    expect(targetRules.normalize(create(TargetSchema, { target: "a:1", tags: ["x", "y", "x"] })).tags).toEqual([
      "x",
      "y",
    ]);
  });
});
