import { describe, expect, it } from "vitest";
import { latencyBucket, latencyBucketCount } from "../../proto/latency-buckets.ts";
import { EndpointCounts } from "./endpoint-counts.ts";
import { EndpointTotals, noTotal } from "./endpoint-totals.ts";

function rig() {
  const totals = new EndpointTotals();
  const blocks: string[] = [];
  const worker = (number: number) =>
    new EndpointCounts((index, buffer) => {
      blocks.push(`${number}:${index}`);
      totals.add(number, index, buffer);
    });
  return { totals, blocks, worker };
}

/** "bucket:count" of those that are not empty. */
function filled(totals: EndpointTotals, row: number): string[] {
  const buckets = new Uint32Array(latencyBucketCount);
  totals.readBuckets(row, buckets);
  return [...buckets].flatMap((count, bucket) => (count === 0 ? [] : `${bucket}:${count}`));
}

describe("EndpointTotals", () => {
  it("sums up what workers count, by kind, without asking them", () => {
    const { totals, worker } = rig();
    const [a, b] = [worker(0), worker(1)];
    for (const each of [a, b]) {
      for (let i = 0; i < 5; i++) each.requested(3);
      each.answered(3, 204, 0.5);
      each.answered(3, 404, 0.5);
      each.answered(3, 503, 100);
      each.lost(3);
    }
    b.ejected(3);
    a.requested(4);
    expect(totals.read(3)).toEqual({
      requests: 10,
      answers: 6,
      clientErrors: 2,
      serverErrors: 2,
      losses: 2,
      ejections: 1,
    });
    expect(filled(totals, 3)).toEqual([`${latencyBucket(0.5)}:4`, `${latencyBucket(100)}:2`]);
    expect([totals.activity(3), totals.activity(4), totals.activity(5)]).toEqual([19, 1, 0]);
    expect(totals.read(5)).toEqual(noTotal);
  });

  it("takes memory only for the rows near those that were sent something", () => {
    const { totals, blocks, worker } = rig();
    const counts = worker(2);
    for (const row of [1_000, 1_001, 63, 64]) counts.requested(row);
    expect(blocks).toEqual(["2:15", "2:0", "2:1"]);
    expect([63, 64, 500, 1_000, 1_001, 65_000].map((row) => totals.activity(row))).toEqual([1, 1, 0, 1, 1, 0]);
  });

  it("keeps what workers counted that are gone, while others get their numbers", () => {
    const { totals, worker } = rig();
    for (let life = 0; life < 3; life++) {
      const counts = worker(0);
      for (const row of [0, 63]) {
        counts.requested(row);
        counts.answered(row, 500, 7);
      }
      totals.keep(0);
    }
    totals.keep(1);
    worker(0).requested(63);
    expect([totals.read(0).requests, totals.read(63).requests, totals.read(62).requests]).toEqual([3, 4, 0]);
    expect([totals.read(63).serverErrors, filled(totals, 63)]).toEqual([3, [`${latencyBucket(7)}:3`]]);
  });

  it("begins at 0 for whoever gets a row next, and leaves the neighbours alone", () => {
    const { totals, worker } = rig();
    const counts = worker(0);
    for (const row of [9, 10, 11]) counts.answered(row, 200, 7);
    totals.keep(0);
    const successor = worker(0);
    successor.answered(10, 200, 7);
    totals.clear(10);
    expect([9, 10, 11].map((row) => totals.activity(row))).toEqual([1, 0, 1]);
    expect([9, 10, 11].map((row) => filled(totals, row).length)).toEqual([1, 0, 1]);
    successor.answered(10, 200, 7);
    expect(totals.read(10).answers).toBe(1);
  });
});
