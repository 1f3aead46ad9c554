import { describe, expect, it } from "vitest";
import { type SimulatedCosts, type SimulatedLoad, SimulatedLoop } from "./load-shedder.test-rig.ts";

const costs: SimulatedCosts = { requestMs: 0.45, pieceMs: 0.11, pieceCount: 1, refusalMs: 0.04, connectMs: 0.2 };
/** What the loop can do in a second when it refuses nothing. */
const requestMs = costs.requestMs + costs.pieceMs;
const peak = 1_000 / requestMs;
/** What is left of the peak at three times the load, when nothing is lost but what refusing the others costs. */
const best = (peak * (requestMs - 3 * costs.refusalMs)) / (requestMs - costs.refusalMs);

function crowd(times: number, clientCount = 6_000): SimulatedLoad {
  return { clientCount, rate: times * peak, patienceMs: 3_000 };
}

describe("LoadShedder in a simulated event loop", () => {
  it("keeps the goodput at three times the peak, without swinging, once it has begun", () => {
    const loop = new SimulatedLoop(crowd(3), costs);
    loop.run(6_000);
    const spans = Array.from({ length: 10 }, () => loop.run(3_000));
    const goods = spans.map(({ goodPerSecond }) => goodPerSecond);
    expect(Math.min(...goods)).toBeGreaterThan(0.9 * best);
    expect(Math.max(...goods) / Math.min(...goods)).toBeLessThan(1.2);
    expect(Math.max(...spans.map(({ slowestMs }) => slowestMs))).toBeLessThan(2_500);
  });

  it("is what keeps it", () => {
    const loop = new SimulatedLoop(crowd(3), costs, Number.POSITIVE_INFINITY);
    loop.run(4_000);
    expect(loop.run(30_000).goodPerSecond).toBeLessThan(0.2 * peak);
  });

  it.each([
    { name: "most of a request's cost comes after it was taken", changed: { requestMs: 0.06, pieceMs: 0.5 } },
    { name: "its cost comes in many turns", changed: { requestMs: 0.06, pieceMs: 0.05, pieceCount: 10 } },
  ])("does so too when $name", ({ changed }) => {
    const loop = new SimulatedLoop(crowd(3), { ...costs, ...changed });
    loop.run(4_000);
    const { goodPerSecond, slowestMs } = loop.run(30_000);
    expect(goodPerSecond).toBeGreaterThan(0.9 * best);
    expect(slowestMs).toBeLessThan(3_000);
  });

  it("refuses nothing that can be done, though clients are held", () => {
    // With fewer clients than a second's work, a loop that only waited for their time to be over would rest.
    const loop = new SimulatedLoop(crowd(3, 1_000), costs);
    loop.run(4_000);
    expect(loop.run(20_000).goodPerSecond).toBeGreaterThan(0.9 * peak);
  });

  it("begins within three seconds, also when every client asks at once and the turn does not end", () => {
    const loop = new SimulatedLoop({ ...crowd(1), rate: null }, costs);
    expect(loop.run(3_000).refusedCount).toBeGreaterThan(0);
    loop.run(2_000);
    expect(loop.run(10_000).goodPerSecond).toBeGreaterThan(0.8 * peak);
  });

  it("refuses nothing at nine tenths of the peak, nor once an overload is over, and does it all again", () => {
    const loop = new SimulatedLoop(crowd(0.9), costs);
    expect(loop.run(10_000).refusedCount).toBe(0);
    for (let i = 0; i < 3; i++) {
      loop.change(crowd(3));
      loop.run(4_000);
      expect(loop.run(6_000).goodPerSecond).toBeGreaterThan(0.75 * peak);
      loop.change(crowd(0.9));
      loop.run(1_000);
      const { refusedCount, goodPerSecond } = loop.run(5_000);
      expect(refusedCount).toBe(0);
      expect(goodPerSecond).toBeGreaterThan(0.85 * peak);
      expect(loop.shedder.isShedding).toBe(false);
    }
  });
});
