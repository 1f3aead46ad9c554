/**
 * What the pure steps on every request's path cost: `node bench/micro.ts`. Nanoseconds per operation, the best of
 * five runs; figures differ between machines, their proportions hardly.
 */

import { hash32 } from "../data-plane/balance/hash32.ts";
import { noTls } from "../data-plane/config/tls-config.ts";
import type { RouteConfig, WorkerConfig } from "../data-plane/config/worker-config.ts";
import { normalizePath } from "../data-plane/route/normalize-path.ts";
import { rewritePath } from "../data-plane/route/rewrite-path.ts";
import { buildRouteTable, matchRoute, type RouteInput } from "../data-plane/route/route-table.ts";
import { EndpointCounts } from "../data-plane/telemetry/endpoint-counts.ts";
import { EndpointTotals } from "../data-plane/telemetry/endpoint-totals.ts";
import { bestNanoseconds } from "./nanoseconds.ts";
import { pickAlgorithms, pickOf } from "./pick-cost.ts";

function measure(name: string, operation: (i: number) => unknown): void {
  console.log(`${name.padEnd(58)} ${bestNanoseconds(operation).toFixed(0).padStart(6)} ns`);
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
  for (const algorithm of pickAlgorithms) {
    for (const count of [10, 1_000]) {
      const { pick, ringMs } = pickOf(algorithm, count);
      const built = ringMs === null ? "" : ` (ring built in ${ringMs.toFixed(0)} ms)`;
      measure(`pick, ${algorithm}, ${count} endpoints${built}`, pick);
    }
  }
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

function measureCounts(): void {
  const totals = new EndpointTotals();
  const counts = new EndpointCounts((index, buffer) => totals.add(0, index, buffer));
  const latencies = Array.from({ length: 4096 }, () => 10 ** (4 * Math.random() - 2));
  measure("count a request and its answer, one endpoint", (i) => {
    counts.requested(0);
    counts.answered(0, 200, latencies[i & 4095]!);
  });
  measure("count a request and its answer, 1000 endpoints", (i) => {
    const row = (i * 7919) % 1_000;
    counts.requested(row);
    counts.answered(row, 200, latencies[i & 4095]!);
  });
  measure("whether anything was counted of an endpoint", (i) => totals.activity(i % 1_000));
}

measureMatches();
measurePicks();
measurePaths();
measureCounts();
