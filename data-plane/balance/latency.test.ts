import { describe, expect, it } from "vitest";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { createPicker } from "./picker.ts";
import { sharesOf, simulateTraffic } from "./simulated-traffic.test-rig.ts";

const pool = testPool({ algorithm: "latency" });

describe("Latency", () => {
  it.each([20, 100, 500, 1_000])(
    "gives one of four that takes 200 ms longer next to nothing after 2 s, at %i/s",
    (perSecond) => {
      const { picker, state } = pickerOf([1, 1, 1, 1]);
      const latencyMs = (row: number, _atMs: number, draw: number) => 2 + 2 * draw + (row === 2 ? 200 : 0);
      const requests = simulateTraffic(picker, state, { perSecond, lengthMs: 12_000, latencyMs });
      expect(
        sharesOf(
          requests.filter(({ atMs }) => atMs < 2_000),
          4,
        )[2],
      ).toBeLessThanOrEqual(0.05);
      const after = sharesOf(
        requests.filter(({ atMs }) => atMs >= 2_000),
        4,
      );
      expect(after[2]).toBeLessThanOrEqual(0.01);
      for (const row of [0, 1, 3]) expect(after[row]).toBeGreaterThan(0.25);
    },
  );

  it("asks one that was slow again after a while, and gives it its share back when it is well", () => {
    const { picker, state } = pickerOf([1, 1, 1, 1]);
    const latencyMs = (row: number, atMs: number, draw: number) => 2 + 2 * draw + (row === 0 && atMs < 1_000 ? 200 : 0);
    const requests = simulateTraffic(picker, state, { perSecond: 500, lengthMs: 40_000, latencyMs });
    const share = (fromMs: number, toMs: number) =>
      sharesOf(
        requests.filter(({ atMs }) => atMs >= fromMs && atMs < toMs),
        4,
      )[0];
    expect(share(1_000, 5_000)).toBe(0);
    expect(share(20_000, 40_000)).toBeGreaterThan(0.2);
  });

  it("measures one that is new without sending it everything", () => {
    const { picker, state } = pickerOf([1, 1, 1, 1]);
    for (const row of [0, 1, 2]) state.setLatency(row, 5_000, 0);
    const requests = simulateTraffic(picker, state, { perSecond: 500, lengthMs: 200, latencyMs: () => 5 });
    const share = sharesOf(requests, 4)[3];
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.4);
  });

  it("follows weights where all answer alike and have nothing to do", () => {
    const { picker, state } = pickerOf([5, 3, 1, 1]);
    const turns = Array.from({ length: 1_000 }, () => picker.pick(question())!);
    expect(sharesOf(turns, 4)).toEqual([0.5, 0.3, 0.1, 0.1]);
    expect(state.poolInFlight()).toBe(0);
  });

  it("follows weights nearly where all answer alike under load", () => {
    const { picker, state } = pickerOf([5, 3, 1, 1]);
    const latencyMs = (_row: number, _atMs: number, draw: number) => 20 + 2 * draw;
    const requests = simulateTraffic(picker, state, { perSecond: 2_000, lengthMs: 10_000, latencyMs });
    for (const [row, share] of sharesOf(requests, 4).entries())
      expect(Math.abs(share - [0.5, 0.3, 0.1, 0.1][row]!)).toBeLessThan(0.04);
  });

  it("prefers the one with less under way where both are as fast", () => {
    const { picker, state } = pickerOf([1, 1]);
    for (const row of [0, 1]) state.setLatency(row, 5_000, 0);
    for (let i = 0; i < 3; i++) state.attemptBegins(0, 0);
    for (let i = 0; i < 20; i++) expect(picker.pick(question())!.row).toBe(1);
  });

  it.each([2, 3, 10])("never asks the slowest of %i idle endpoints, whichever are drawn", (count) => {
    const { picker, state } = pickerOf(Array<number>(count).fill(1));
    for (let row = 0; row < count; row++) state.setLatency(row, row === 1 ? 50_000 : 5_000, 0);
    for (let i = 0; i < 1_000; i++) expect(picker.pick(question())!.row).not.toBe(1);
  });
});

function question() {
  return { tried: [], hash: 0, stickyKey: "", startedAtMs: 0 };
}

function pickerOf(weights: readonly number[]) {
  const endpoints = weights.map((weight, row) => testEndpoint({ row, port: 9000 + row, weight }));
  const state = new FakeEndpointState();
  return { picker: createPicker(pool, testSet(endpoints), state), state };
}
