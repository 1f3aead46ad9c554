import { expect, it } from "vitest";
import { nodeStats } from "./node-stats.ts";

it("tells what the workers count, and how many of them were lost", async () => {
  const counters = { requests: 12, responses_5xx: 2, responses_cut: 1, connections_active: 5 };
  const view = { number: 1, role: "serving", publication: 7, counters, heapBytes: 1_000, hasStarted: true };
  const read = nodeStats({
    workers: { counters: async () => counters, views: () => [view] as never },
    counters: { workers_lost: 4 },
    health: { endpoints: { counts: () => ({ healthyCount: 8, count: 9 }) as never } },
  });
  expect(await read()).toMatchObject({
    ...{ requestCount: 12n, failureCount: 3n, connectionCount: 5n, lostWorkerCount: 4n },
    ...{ endpointCount: 9, healthyEndpointCount: 8 },
    workers: [
      { number: 1, role: "serving", publication: 7n, requestCount: 12n, connectionCount: 5n, heapBytes: 1_000n },
    ],
  });
});
