import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { untilDone } from "../steps/until-done.ts";
import { defaultBalancing } from "./balancing-config.ts";
import { encodeConfig } from "./encoded-config.test-encode.ts";
import { ConfigDecoder } from "./encoded-config.ts";
import type { PassiveCheckConfig } from "./health-check-config.ts";
import { PagedSlots } from "./paged-slots.ts";
import { noTls } from "./tls-config.ts";
import { testEndpoint, testPool, testSet } from "./worker-config.test-entities.ts";
import type { EndpointSet, RouteConfig, ServiceConfig, WorkerConfig } from "./worker-config.ts";

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
function sent(whole: WorkerConfig, sets: readonly EndpointSet[] = [], decoder = new ConfigDecoder()) {
  const pages = [...decoder.pagesOf(structuredClone(encodeConfig(whole, sets)))];
  return {
    pools: pages.flatMap(({ pools = [] }) => pools),
    services: pages.flatMap(({ services = [] }) => services.map(([, service]) => service!)),
    routes: pages.flatMap(({ routes = [] }) => routes.map(([, route]) => route!)),
  };
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

  it("has one object for what pools share, also with those of a page before", () => {
    const passive: PassiveCheckConfig = {
      readsStatuses: true,
      statusKinds: new Uint8Array(1_000).fill(2, 500),
      thresholds: { successes: 1, httpFailures: 2, tcpFailures: 3, timeouts: 4 },
    };
    const balancing = { ...defaultBalancing, zones: { spillThresholdPercent: 50 } };
    const pools = Array.from({ length: 40 }, (_, i) => testPool({ key: `p${i}`, passive, balancing }));
    const endpoints = [testEndpoint({ row: 3, stickyKey: "k" })];
    const rings = [{ priority: 0, isLocal: true, slots: new SharedArrayBuffer(20) }];
    const sets = [testSet(endpoints, { poolKey: "p0" }), testSet([], { poolKey: "p39", rings })];
    const read = sent({ ...config([], []), pools }, sets).pools;
    expect(read.map(([slot]) => slot)).toEqual([...pools.keys()]);
    expect(read.map(([, pool]) => pool)).toEqual(pools);
    const [first, last] = [read[0]!, read[39]!];
    for (const part of ["balancing", "resilience", "passive"] as const) expect(first[1]![part]).toBe(last[1]![part]);
    expect([first[2], read[1]![2], last[2]]).toEqual([sets[0], null, sets[1]]);
  });

  it.each([0, 1, 31, 32, 33, 1_000])("is decoded as it was, in its order, with %d routes and services", (count) => {
    const numbers = Array.from({ length: count }, (_, i) => i);
    const [routes, services] = [numbers.map((i) => route(i)), numbers.map(service)];
    expect(sent(config(routes, services))).toEqual({ pools: [], routes, services });
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
    expect(sent(config([odd], [])).routes).toEqual([odd]);
  });

  it("is the same memory in every thread, however often it is sent", () => {
    const encoded = encodeConfig(config([route(0)], []));
    const [first, second] = [structuredClone(encoded), structuredClone(encoded)].map(({ pages }) => pages);
    if (!("bytes" in first!) || !("bytes" in second!)) throw new Error("it is no shared memory");
    new Uint8Array(first.bytes)[0] = 0x5b;
    expect(new Uint8Array(second.bytes)[0]).toBe(0x5b);
  });

  it("has one list of protocols for all routes with equal ones", () => {
    const { routes } = sent(config([route(0), route(1), route(2)], []));
    expect(routes[0]!.protocols).toBe(routes[2]!.protocols);
    expect(routes[1]!.protocols).not.toBe(routes[2]!.protocols);
  });
});

describe("PagedSlots", () => {
  /** What workers read of it, by slot. */
  function read(slots: PagedSlots<"routes">): Map<number, RouteConfig> {
    const items = slots.pages.flatMap((page) => new ConfigDecoder().page(page).routes!);
    return new Map(items.map(([slot, item]) => [slot, item!]));
  }

  it("is what its edits make of it, and none of them changes another", () => {
    const edit = fc.tuple(fc.nat(100), fc.option(fc.nat(9), { nil: null }));
    fc.assert(
      fc.property(fc.array(fc.array(edit, { maxLength: 90 }), { maxLength: 5 }), (rounds) => {
        const want = new Map<number, RouteConfig>();
        let slots = new PagedSlots("routes");
        for (const round of rounds) {
          const [former, formerWant] = [slots, new Map(want)];
          const edited = slots.edit();
          for (const [slot, value] of round) {
            const item = value === null ? null : route(value);
            edited.set(slot, item);
            if (item === null) want.delete(slot);
            else want.set(slot, item);
          }
          slots = untilDone(edited.finishSteps());
          expect(read(slots)).toEqual(want);
          expect(read(former)).toEqual(formerWant);
          expect(slots.itemCount).toBe(want.size);
        }
      }),
      { numRuns: 50 },
    );
  });
});
