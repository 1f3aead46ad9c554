import { describe, expect, it } from "vitest";
import { bucketBoundsMs, histogramCells, observeMs } from "./histogram.ts";
import { type SeriesCounts, SeriesTable, SeriesTotals } from "./series-table.ts";

/** The first cell of each series by its label. */
function firstCells({ labels, cells }: SeriesCounts, cellCount: number): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [index, label] of labels.entries()) sums[label] = (sums[label] ?? 0) + (cells[index * cellCount] ?? 0);
  return sums;
}

describe("SeriesTable", () => {
  it("counts each series by itself, however many there are", () => {
    const table = new SeriesTable(3, 1, 100);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 50; i++) {
        const at = table.offsetOf(`key ${i}`, [`label ${i}`], 0);
        table.cells[at]! += i;
      }
    }
    const cells = firstCells(table.read(), 3);
    expect(Object.keys(cells)).toHaveLength(51);
    for (let i = 0; i < 50; i++) expect(cells[`label ${i}`]).toBe(2 * i);
  });

  it("goes on counting under another label", () => {
    const table = new SeriesTable(1, 1, 10);
    for (const label of ["before", "after"]) {
      const at = table.offsetOf("id", [label], 0);
      table.cells[at]!++;
    }
    expect(firstCells(table.read(), 1)).toEqual({ other: 0, after: 2 });
  });

  it("counts in other what comes when all series are taken", () => {
    const table = new SeriesTable(1, 1, 2);
    for (let i = 0; i < 5; i++) {
      const at = table.offsetOf(`key ${i}`, [`label ${i}`], 0);
      table.cells[at]!++;
    }
    expect(firstCells(table.read(), 1)).toEqual({ other: 3, "label 0": 1, "label 1": 1 });
    expect(table.size).toBe(2);
  });

  it("lets a series make room that nobody has asked for since, and keeps the sum", () => {
    const table = new SeriesTable(1, 1, 2);
    const count = (key: string, generation: number) => {
      const at = table.offsetOf(key, [key], generation);
      table.cells[at]!++;
    };
    count("old", 0);
    count("kept", 0);
    count("kept", 1);
    count("new", 1);
    expect(firstCells(table.read(), 1)).toEqual({ other: 1, kept: 2, new: 1 });
    count("more", 1);
    expect(firstCells(table.read(), 1)).toEqual({ other: 2, kept: 2, new: 1 });
  });
});

describe("SeriesTotals", () => {
  const counts = (labels: string[], ...cells: number[]): SeriesCounts => ({ labels, cells: Float64Array.from(cells) });

  it("sums up by label", () => {
    const totals = new SeriesTotals(2, 1, 10);
    totals.add(counts(["other", "a"], 0, 0, 1, 2));
    totals.add(counts(["other", "b", "a"], 1, 0, 5, 5, 10, 20));
    expect([...totals.entries()]).toEqual([
      { labels: ["other"], cells: Float64Array.of(1, 0) },
      { labels: ["a"], cells: Float64Array.of(11, 22) },
      { labels: ["b"], cells: Float64Array.of(5, 5) },
    ]);
  });

  it("holds no more series than it may, and passes on what it holds", () => {
    const totals = new SeriesTotals(1, 1, 2);
    totals.add(counts(["a", "b", "c", "other"], 1, 1, 1, 1));
    totals.add(counts(["d", "b"], 1, 1));
    const again = new SeriesTotals(1, 1, 2);
    again.add(totals.read());
    expect(firstCells(again.read(), 1)).toEqual({ a: 1, b: 2, other: 3 });
  });
});

describe("observeMs", () => {
  it.each([
    [0, 0],
    [1, 0],
    [1.01, 1],
    [30_000, bucketBoundsMs.length - 1],
    [30_001, bucketBoundsMs.length],
  ])("puts %d ms into bucket %d and adds it up", (ms, bucket) => {
    const cells = new Float64Array(2 + histogramCells);
    observeMs(cells, 2, ms);
    expect(cells.indexOf(1, 3)).toBe(3 + bucket);
    expect(cells[2]).toBe(ms);
    expect(cells.reduce((sum, cell) => sum + cell, 0)).toBeCloseTo(1 + ms);
    const apart = new Float64Array(2 * histogramCells);
    observeMs(apart, 1, ms, 2);
    expect(Array.from(apart).filter((_, i) => i % 2 === 1)).toEqual(Array.from(cells.subarray(2)));
  });
});
