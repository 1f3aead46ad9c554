/**
 * What the pure steps on every request's path cost: `node bench/micro.ts`. Nanoseconds per operation, the best of
 * five runs; figures differ between machines, their proportions hardly.
 */

import { hashRings } from "../data-plane/balance/hash-ring.ts";
import { hash32 } from "../data-plane/balance/hash32.ts";
import type { PickQuestion } from "../data-plane/balance/picker.ts";
import { createPicker } from "../data-plane/balance/picker.ts";
import { noTls } from "../data-plane/config/tls-config.ts";
import { testEndpoint, testPool, testSet } from "../data-plane/config/worker-config.test-entities.ts";
import type { PoolConfig, RouteConfig, WorkerConfig } from "../data-plane/config/worker-config.ts";
import { normalizePath } from "../data-plane/route/normalize-path.ts";
import { rewritePath } from "../data-plane/route/rewrite-path.ts";
import { buildRouteTable, matchRoute, type RouteInput } from "../data-plane/route/route-table.ts";
import { EndpointTable } from "../data-plane/upstream/endpoint-table.ts";

const operationCount = 1_000_000;
const runCount = 5;
/** Keeps the optimiser from dropping what it is to measure. */
let sink = 0;

function measure(name: string, operation: (i: number) => unknown): void {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runCount; run++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < operationCount; i++) if (operation(i) !== null) sink++;
    bestNs = Math.min(bestNs, Number(process.hrtime.bigint() - start) / operationCount);
  }
  console.log(`${name.padEnd(58)} ${bestNs.toFixed(0).padStart(6)} ns`);
}

function configOf(routes: readonly Partial<RouteConfig>[]): WorkerConfig {
  const complete = routes.map(
    (route, i): RouteConfig => ({
      id: String(i),
      name: null,
      createdAtMs: i,
      protocols: ["http", "https"],
      methods: null,
      hosts: null,
      paths: null,
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
      ...route,
    }),
  );
  return { publication: 1, revision: 1, routes: complete, services: [], pools: [], tls: noTls };
}

/** Random, so that neither the processor's caches nor its branch predictor learn one path by heart. */
function inputsFor(pathOf: (i: number) => string, hostOf: (i: number) => string, routeCount: number): RouteInput[] {
  return Array.from({ length: 4096 }, () => {
    const i = Math.floor(Math.random() * routeCount);
    return {
      protocol: "http",
      method: "GET",
      host: hostOf(i),
      port: 8000,
      // Through a Buffer, as the engine gets its paths: flat strings, none shared with the table.
      path: Buffer.from(pathOf(i), "latin1").toString("latin1"),
      sni: "",
      headers: { values: () => [] },
    };
  });
}

function measureMatches(): void {
  const anyHost = () => "api.example.com";
  const path = (i: number) => `/team-${i % 97}/service-${i}/v1`;
  for (const count of [1, 1_000, 10_000]) {
    const startMs = performance.now();
    const table = buildRouteTable(configOf(Array.from({ length: count }, (_, i) => ({ paths: [path(i)] }))));
    const builtMs = performance.now() - startMs;
    const inputs = inputsFor((i) => `${path(i)}/items/42`, anyHost, count);
    measure(`matchRoute, ${count} path prefixes (built in ${builtMs.toFixed(0)} ms)`, (i) =>
      matchRoute(table, inputs[i & 4095]!),
    );
  }
  const host = (i: number) => `host-${i}.example.com`;
  const hosts = buildRouteTable(
    configOf(Array.from({ length: 1_000 }, (_, i) => ({ hosts: [host(i)], paths: ["/"] }))),
  );
  const hostInputs = inputsFor(() => "/items/42", host, 1_000);
  measure("matchRoute, 1000 hosts", (i) => matchRoute(hosts, hostInputs[i & 4095]!));
  const wildcards = buildRouteTable(
    configOf(Array.from({ length: 1_000 }, (_, i) => ({ hosts: [`*.host-${i}.example.com`] }))),
  );
  const wildcardInputs = inputsFor(
    () => "/items/42",
    (i) => `a.${host(i)}`,
    1_000,
  );
  measure("matchRoute, 1000 wildcard hosts", (i) => matchRoute(wildcards, wildcardInputs[i & 4095]!));
  const patterns = buildRouteTable(configOf(Array.from({ length: 1_000 }, (_, i) => ({ paths: [`~/svc-${i}/\\d+`] }))));
  const patternInputs = inputsFor((i) => `/svc-${i}/42`, anyHost, 1_000);
  measure("matchRoute, 1000 regular expressions", (i) => matchRoute(patterns, patternInputs[i & 4095]!));
}

function measurePicks(): void {
  for (const algorithm of algorithms) for (const count of [10, 1_000]) measurePick(algorithm, count);
}

const algorithms = ["round-robin", "least-connections", "consistent-hashing", "latency", "sticky-sessions"] as const;

/** Among endpoints of five weights, each with a request under way and a latency; hashes and sessions are all different. */
function measurePick(algorithm: PoolConfig["algorithm"], count: number): void {
  const table = EndpointTable.create();
  const poolRow = table.allocatePoolRow()!;
  const endpoints = Array.from({ length: count }, (_, i) =>
    testEndpoint({
      row: table.allocateEndpointRow()!,
      port: 9_000 + i,
      weight: 1 + (i % 5),
      stickyKey: algorithm === "sticky-sessions" ? `s${i}` : "",
    }),
  );
  for (const { row } of endpoints) {
    table.attemptBegins(poolRow, row);
    table.setLatency(row, 1_000 + row, 0);
  }
  const startMs = performance.now();
  const rings = algorithm === "consistent-hashing" ? hashRings(endpoints, 10_000) : null;
  const built = rings === null ? "" : ` (ring built in ${(performance.now() - startMs).toFixed(0)} ms)`;
  const picker = createPicker(testPool({ poolRow, algorithm }), testSet(endpoints, { rings }), table);
  const questions = Array.from({ length: 4_096 }, (_, i): PickQuestion => {
    // Through a Buffer, as cookies come: a flat string that no table has.
    const stickyKey = algorithm === "sticky-sessions" ? Buffer.from(`s${(i * 7) % count}`).toString("latin1") : "";
    return { tried: [], hash: hash32(`user-${i}`), stickyKey, startedAtMs: 10 };
  });
  measure(`pick, ${algorithm}, ${count} endpoints${built}`, (i) => picker.pick(questions[i & 4095]!));
}

function measurePaths(): void {
  const clean = inputsFor(
    (i) => `/team/service-${i}/v1/items`,
    () => "",
    1_000,
  ).map(({ path }) => path);
  const messy = clean.map((path) => `${path}//a/%2e%2e/b%20c`);
  measure("hash32 (22 characters)", (i) => hash32(clean[i & 4095]!));
  measure("normalizePath, nothing to do (25 characters)", (i) => normalizePath(clean[i & 4095]!));
  measure("normalizePath, dots, slashes and escapes", (i) => normalizePath(messy[i & 4095]!));
  measure("rewritePath, stripped", (i) => rewritePath("/base", clean[i & 4095]!, 5, true, ""));
}

measureMatches();
measurePicks();
measurePaths();
if (sink === 0) throw new Error("nothing was measured");
