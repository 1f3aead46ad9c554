import { expect, it } from "vitest";
import { defaultResilience } from "../config/resilience-config.ts";
import { KeptWaits } from "./kept-waits.ts";
import { PoolHistory } from "./pool-history.ts";
import type { Waiting } from "./route-waits.ts";

it("keeps nothing of a request that goes on, once its pool is gone", () => {
  const kept = new KeptWaits();
  const history = new PoolHistory(defaultResilience, 1, kept);
  const request: Waiting = { waitingSinceMs: 0, waits: null, previousWaiting: null, nextWaiting: null };
  const wait = (routeId: string) => {
    const waits = history.waitsOf(routeId).at(1);
    waits.begin(request, 0);
    waits.answered(request, 10);
  };
  wait("before");
  expect([history.routeCount, kept.count]).toEqual([1, 1]);
  history.close();
  // It had begun before, and is only now connected.
  wait("before");
  wait("other");
  expect([history.routeCount, kept.count]).toEqual([0, 0]);
});
