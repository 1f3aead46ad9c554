import { describe, expect, it } from "vitest";
import { testEndpoint, testPool } from "../config/worker-config.test-entities.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { hostName, targetHost } from "./target-host.ts";

const upstream = testPool();
const own: PoolConfig = { ...upstream, key: "host:a.test:80", isUpstream: false };
const endpoint = (port: number, hostHeader: string) => testEndpoint({ port, hostHeader });

describe("targetHost", () => {
  it.each([
    ["a preserved host first", upstream, endpoint(80, "a.test"), "client.test:1", true, "client.test:1"],
    ["then the upstream's", { ...upstream, hostHeader: "set.test" }, endpoint(80, "a.test"), "", true, "set.test"],
    ["then the endpoint's own", upstream, endpoint(81, "a.test:81"), "", false, "a.test:81"],
    ["without the port that TLS implies", upstream, endpoint(443, "a.test:443"), "", true, "a.test"],
    ["with the port that only plain HTTP implies", upstream, endpoint(80, "a.test"), "", true, "a.test:80"],
    ["with any other port", upstream, endpoint(8443, "a.test:8443"), "", true, "a.test:8443"],
    ["as it is where a service's own host knows its protocol", own, endpoint(443, "a.test"), "", true, "a.test"],
  ])("is %s", (_, pool, at, preserved, isSecure, want) => {
    expect(targetHost(pool, at, preserved, isSecure)).toBe(want);
  });
});

describe("hostName", () => {
  it.each([
    ["a.test", "a.test"],
    ["A.Test:8443", "a.test"],
    ["10.0.0.1:443", "10.0.0.1"],
    ["[::1]:443", "::1"],
    ["[::1]", "::1"],
  ])("of %s is %s", (host, want) => {
    expect(hostName(host)).toBe(want);
  });
});
