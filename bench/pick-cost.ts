import { hashRings } from "../data-plane/balance/hash-ring.ts";
import { hash32 } from "../data-plane/balance/hash32.ts";
import { createPicker, type PickQuestion } from "../data-plane/balance/picker.ts";
import { testEndpoint, testPool, testSet } from "../data-plane/config/worker-config.test-entities.ts";
import type { PoolConfig } from "../data-plane/config/worker-config.ts";
import { EndpointTable } from "../data-plane/upstream/endpoint-table.ts";

export const pickAlgorithms = [
  "round-robin",
  "least-connections",
  "consistent-hashing",
  "latency",
  "sticky-sessions",
] as const;

/**
 * A pick among endpoints of five weights, each with a request under way and a latency; hashes and sessions are all
 * different. `ringMs`: what the hash ring took; null for other algorithms.
 * @param outCount so many of them are out
 */
export function pickOf(algorithm: PoolConfig["algorithm"], count: number, outCount = 0) {
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
  for (const { row } of endpoints.slice(0, outCount)) table.eject(poolRow, row);
  const startMs = performance.now();
  const rings = algorithm === "consistent-hashing" ? hashRings(endpoints, 10_000) : null;
  const ringMs = rings === null ? null : performance.now() - startMs;
  const picker = createPicker(testPool({ poolRow, algorithm }), testSet(endpoints, { rings }), table);
  const questions = Array.from({ length: 4_096 }, (_, i): PickQuestion => {
    // Through a Buffer, as cookies come: a flat string that no table has.
    const stickyKey = algorithm === "sticky-sessions" ? Buffer.from(`s${(i * 7) % count}`).toString("latin1") : "";
    return { tried: [], hash: hash32(`user-${i}`), stickyKey, startedAtMs: 10 };
  });
  return { pick: (i: number) => picker.pick(questions[i & 4095]!), ringMs };
}
