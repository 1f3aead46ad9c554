import { describe, expect, it } from "vitest";
import { encodeConfig } from "./encoded-config.test-encode.ts";
import { decodeConfig } from "./encoded-config.ts";
import { noTls } from "./tls-config.ts";
import type { RouteConfig, ServiceConfig, WorkerConfig } from "./worker-config.ts";

function route(i: number, given: Partial<RouteConfig> = {}): RouteConfig {
  return {
    id: `r${i}`,
    name: null,
    createdAtMs: 1_790_000_000_000.25 + i,
    protocols: i % 2 === 0 ? ["http", "https"] : ["https"],
    methods: null,
    hosts: null,
    paths: [`/${i}`],
    headers: null,
    snis: null,
    regexPriority: 0,
    stripPath: true,
    preserveHost: false,
    httpsRedirectStatus: 426,
    bodyMaxBytes: null,
    totalTimeoutMs: null,
    allowsEncodedSlashes: false,
    retry: null,
    serviceIndex: -1,
    ...given,
  };
}

function service(i: number): ServiceConfig {
  return {
    id: `s${i}`,
    name: `service ${i}`,
    protocol: "http",
    isProtocolSupported: true,
    path: null,
    retries: 5,
    connectTimeoutMs: 1,
    writeTimeoutMs: 2,
    readTimeoutMs: 3,
    tls: null,
    poolIndex: i,
  };
}

function config(routes: RouteConfig[], services: ServiceConfig[]): WorkerConfig {
  return { publication: 3, revision: 4, routes, services, pools: [], tls: noTls };
}

/** As it arrives in another thread. */
function sent(whole: WorkerConfig): WorkerConfig {
  return decodeConfig(structuredClone(encodeConfig(whole)));
}

describe("an encoded config", () => {
  it("has one object for the TLS settings that services share", () => {
    const tls = (key: string) => ({ key, isVerified: true, depthMax: null, caPems: ["pem"], clientPairs: [] });
    const services = ["a", "a", "b"].map((key, i) => ({ ...service(i), tls: tls(key) }));
    const read = sent(config([], services)).services;
    expect(read).toEqual(services);
    expect(read[0]?.tls).toBe(read[1]?.tls);
    expect(read[0]?.tls).not.toBe(read[2]?.tls);
  });

  it.each([0, 1, 255, 256, 257, 1_000])("is decoded as it was, in its order, with %d routes and services", (count) => {
    const numbers = Array.from({ length: count }, (_, i) => i);
    const whole = config(
      numbers.map((i) => route(i)),
      numbers.map(service),
    );
    expect(sent(whole)).toEqual(whole);
  });

  it("keeps every character and number", () => {
    const text = 'é \u{1f600} \u2028 "\\ \u0000';
    const odd = route(0, {
      name: text,
      paths: [`/${text}`],
      headers: [{ name: "x", values: [text, ""] }],
      bodyMaxBytes: Number.MAX_SAFE_INTEGER,
      regexPriority: -5,
    });
    expect(sent(config([odd], []))).toEqual(config([odd], []));
  });

  it("is the same memory in every thread, however often it is sent", () => {
    const encoded = encodeConfig(config([route(0)], []));
    const [first, second] = [structuredClone(encoded), structuredClone(encoded)];
    new Uint8Array(first.content[0]!)[0] = 0x5b;
    expect(new Uint8Array(second.content[0]!)[0]).toBe(0x5b);
  });

  it("has one list of protocols for all routes with equal ones", () => {
    const { routes } = sent(config([route(0), route(1), route(2)], []));
    expect(routes[0]!.protocols).toBe(routes[2]!.protocols);
    expect(routes[1]!.protocols).not.toBe(routes[2]!.protocols);
  });
});
