import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultResilience, type PanicConfig } from "../config/resilience-config.ts";
import { testEndpoint, testPool, testSet } from "../config/worker-config.test-entities.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import type { EndpointFlag } from "./endpoint-state.ts";
import type { PickQuestion } from "./picker.ts";
import { createPicker } from "./picker.ts";

const pool = testPool();

describe("createPicker", () => {
  it("alternates between two equal endpoints", () => {
    const { pickRows } = pickerOf([100, 100]);
    expect(pickRows(6)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it("follows weights exactly over a whole round", () => {
    const { pickRows } = pickerOf([30, 10]);
    expect(pickRows(8)).toEqual([0, 0, 1, 0, 0, 0, 1, 0]);
  });

  it("gives null without endpoints", () => {
    expect(pickerOf([]).picker.pick(question())).toBeNull();
  });

  it("leaves out an ejected endpoint and keeps the others' proportions", () => {
    const { pickRows, state } = pickerOf([2, 1, 1]);
    pickRows(5);
    state.eject(0, 0);
    expect(countRows(pickRows(100))).toEqual({ 1: 50, 2: 50 });
  });

  it("has a further attempt take nobody's turn: requests go on in turn, whatever fails", () => {
    const { picker, endpoints } = pickerOf([1, 1, 1]);
    const first = Array.from({ length: 6 }, () => {
      const row = picker.pick(question())!.row;
      const next = picker.pick(question([endpoints[row]!]))!.row;
      expect(next).not.toBe(row);
      return row;
    });
    expect(first).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it("takes an endpoint back in once it is readmitted", () => {
    const { pickRows, state } = pickerOf([1, 1]);
    state.eject(0, 0);
    expect(countRows(pickRows(4))).toEqual({ 1: 4 });
    state.readmit(0);
    expect(countRows(pickRows(4))).toEqual({ 0: 2, 1: 2 });
  });

  it("picks among all when every endpoint is ejected", () => {
    const { pickRows, state } = pickerOf([1, 1]);
    state.eject(0, 0);
    state.eject(0, 1);
    expect(countRows(pickRows(10))).toEqual({ 0: 5, 1: 5 });
  });

  const open: PanicConfig = { thresholdPercent: 0, mode: "fail_open" };
  const unchecked: PanicConfig = { thresholdPercent: 0, mode: "fail_open_unchecked" };
  const closed: PanicConfig = { thresholdPercent: 0, mode: "fail_closed" };

  it.each<{ name: string; out: EndpointFlag[]; panic: PanicConfig; want: number[] }>([
    { name: "all by traffic, open", out: ["ejected", "ejected"], panic: open, want: [0, 1] },
    { name: "all by traffic, open to the unchecked", out: ["ejected", "ejected"], panic: unchecked, want: [0, 1] },
    { name: "all by traffic, closed", out: ["ejected", "ejected"], panic: closed, want: [] },
    { name: "all by checks, open", out: ["unhealthy", "unhealthy"], panic: open, want: [0, 1] },
    { name: "all by checks, open to the unchecked", out: ["unhealthy", "unhealthy"], panic: unchecked, want: [] },
    {
      name: "by checks and by traffic, open to the unchecked",
      out: ["unhealthy", "ejected"],
      panic: unchecked,
      want: [1],
    },
    { name: "all by a person, open", out: ["forced_out", "forced_out"], panic: open, want: [] },
    { name: "by a person and by traffic, open", out: ["forced_out", "ejected"], panic: open, want: [1] },
    { name: "by a person and by checks, open", out: ["forced_out", "unhealthy"], panic: open, want: [1] },
  ])("picks, when all are out: $name", ({ out, panic, want }) => {
    const { picker, state } = pickerOf([1, 1], panic);
    for (const [row, flag] of out.entries()) state.set(row, flag);
    const rows = Array.from({ length: 6 }, () => picker.pick(question())?.row);
    expect(new Set(rows)).toEqual(new Set(want.length === 0 ? [undefined] : want));
  });

  it.each([
    { thresholdPercent: 24, mode: "fail_closed" as const, want: [2] },
    { thresholdPercent: 25, mode: "fail_closed" as const, want: [] },
    { thresholdPercent: 24, mode: "fail_open" as const, want: [2] },
    { thresholdPercent: 25, mode: "fail_open" as const, want: [0, 1, 2] },
    { thresholdPercent: 25, mode: "fail_open_unchecked" as const, want: [1, 2] },
  ])("panics at $thresholdPercent % of the weight, $mode, with 25 % left", ({ want, ...panic }) => {
    const { picker, state } = pickerOf([50, 25, 25], panic);
    state.set(0, "unhealthy");
    state.set(1, "ejected");
    const rows = Array.from({ length: 12 }, () => picker.pick(question())?.row);
    expect(new Set(rows)).toEqual(new Set(want.length === 0 ? [undefined] : want));
  });

  it.each<{ name: string; out: [number, EndpointFlag][]; thresholdPercent: number; want: number[] }>([
    {
      name: "the one that went out last",
      out: [
        [1, "ejected"],
        [2, "unhealthy"],
        [0, "ejected"],
        [3, "ejected"],
      ],
      thresholdPercent: 0,
      want: [3],
    },
    {
      name: "whom checks took out last",
      out: [
        [1, "ejected"],
        [0, "ejected"],
        [3, "ejected"],
        [2, "unhealthy"],
      ],
      thresholdPercent: 0,
      want: [2],
    },
    {
      name: "never whom a person took out",
      out: [
        [1, "ejected"],
        [0, "ejected"],
        [2, "ejected"],
        [3, "forced_out"],
      ],
      thresholdPercent: 0,
      want: [2],
    },
    {
      name: "as many as it takes beside those that are in",
      out: [
        [0, "ejected"],
        [1, "unhealthy"],
        [2, "ejected"],
      ],
      thresholdPercent: 50,
      want: [1, 2, 3],
    },
    {
      name: "nobody where it is no panic",
      out: [
        [0, "ejected"],
        [1, "ejected"],
      ],
      thresholdPercent: 40,
      want: [2, 3],
    },
    {
      name: "all that there are where it never is enough",
      out: [
        [0, "ejected"],
        [1, "forced_out"],
        [2, "forced_out"],
        [3, "ejected"],
      ],
      thresholdPercent: 50,
      want: [0, 3],
    },
  ])("goes back to the last good ones in a panic: $name", ({ out, thresholdPercent, want }) => {
    const { picker, state } = pickerOf([1, 1, 1, 1], { thresholdPercent, mode: "last_good" });
    for (const [row, flag] of out) state.set(row, flag);
    const rows = Array.from({ length: 12 }, () => picker.pick(question())?.row);
    expect(new Set(rows)).toEqual(new Set(want));
  });

  it("goes back to all that went out at the same moment", () => {
    const { picker, state } = pickerOf([1, 1, 1], { thresholdPercent: 0, mode: "last_good" });
    for (const row of [0, 1, 2]) state.set(row, "ejected");
    state.outOrder = (row) => (row === 0 ? 1 : 2);
    const rows = Array.from({ length: 4 }, () => picker.pick(question())?.row);
    expect(new Set(rows)).toEqual(new Set([1, 2]));
    // Whom traffic alone speaks against is still a last resort.
    const tried = [1, 2].map((row) => testEndpoint({ row }));
    expect(picker.pick(question(tried))?.row).toBe(0);
  });

  it("sends a retry to an ejected endpoint before it repeats one, and never to one that checks or a person took out", () => {
    const { picker, state, endpoints } = pickerOf([1, 1, 1, 1], open);
    state.set(1, "ejected");
    state.set(2, "unhealthy");
    state.set(3, "forced_out");
    expect(picker.pick(question([endpoints[0]!]))?.row).toBe(1);
    for (let turn = 0; turn < 8; turn++)
      expect([0]).toContain(picker.pick(question([endpoints[0]!, endpoints[1]!]))?.row);
  });

  it("picks whom a person brought in, whatever else is said of it", () => {
    const { picker, state } = pickerOf([1, 1], unchecked);
    state.set(0, "unhealthy");
    state.set(1, "unhealthy");
    state.set(1, "forced_in");
    for (let turn = 0; turn < 4; turn++) expect(picker.pick(question())?.row).toBe(1);
  });

  it.each([
    { name: "an untried available one first", ejected: [0], tried: [1], want: [2] },
    { name: "an ejected one when all available ones are tried", ejected: [0], tried: [1, 2], want: [0] },
    { name: "an available one again when all are tried", ejected: [0], tried: [0, 1, 2], want: [1, 2] },
    { name: "any when all are ejected and tried", ejected: [0, 1, 2], tried: [0, 1, 2], want: [0, 1, 2] },
  ])("gives a retry $name", ({ ejected, tried, want }) => {
    const { picker, state, endpoints } = pickerOf([1, 1, 1]);
    for (const row of ejected) state.eject(0, row);
    const triedEndpoints = tried.map((row) => endpoints[row]!);
    for (let turn = 0; turn < 12; turn++) expect(want).toContain(picker.pick(question(triedEndpoints))?.row);
  });

  it("knows a tried endpoint again by its row", () => {
    const { picker, endpoints } = pickerOf([1, 1]);
    const resent = { ...endpoints[0]!, weight: 5 };
    for (let turn = 0; turn < 4; turn++) expect(picker.pick(question([resent]))?.row).toBe(1);
  });

  it("never repeats an endpoint within a request while an available one is left", () => {
    const cases = fc.record({
      weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
      ejectedRows: fc.uniqueArray(fc.nat(7)),
      skippedTurns: fc.nat(50),
    });
    fc.assert(
      fc.property(cases, ({ weights, ejectedRows, skippedTurns }) => {
        const { picker, pickRows, state, endpoints } = pickerOf(weights);
        for (const row of ejectedRows) if (row < weights.length) state.eject(0, row);
        pickRows(skippedTurns);
        const tried: EndpointConfig[] = [];
        for (const _ of endpoints) tried.push(picker.pick(question(tried))!);
        const rows = tried.map((endpoint) => endpoint.row);
        expect(new Set(rows).size).toBe(weights.length);
        const availableCount = endpoints.filter((endpoint) => !state.isOut(endpoint.row)).length;
        for (const row of rows.slice(0, availableCount)) expect(state.isOut(row)).toBe(false);
      }),
    );
  });

  it("shares one cursor with the other workers' pickers", () => {
    const first = pickerOf([1, 1]);
    const second = createPicker(pool, first.set, first.state);
    const rows = Array.from({ length: 6 }, (_, i) => (i % 3 === 0 ? first.picker : second).pick(question([]))?.row);
    expect(rows).toEqual([0, 1, 0, 1, 0, 1]);
  });
});

function pickerOf(weights: readonly number[], panic: PanicConfig = defaultResilience.panic) {
  const endpoints = weights.map((weight, row) => testEndpoint({ row, port: 9000 + row, weight }));
  const set = testSet(endpoints);
  const state = new FakeEndpointState();
  const picker = createPicker({ ...pool, resilience: { ...defaultResilience, panic } }, set, state);
  const pickRows = (count: number) => Array.from({ length: count }, () => picker.pick(question())!.row);
  return { picker, state, endpoints, set, pickRows };
}

function question(tried: readonly EndpointConfig[] = []): PickQuestion {
  return { tried, hash: 0, stickyKey: "", startedAtMs: 0 };
}

function countRows(rows: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const row of rows) counts[row] = (counts[row] ?? 0) + 1;
  return counts;
}
