/** Each bucket is so much wider than the one below: a quantile is off by at most 1 %. */
const growth = 1.01;
const leastMs = 0.01;
const bucketCount = 1_800;

/** Latencies as counts by size: of fixed size however many there are. */
export class LatencyHistogram {
  readonly counts: number[] = new Array<number>(bucketCount).fill(0);

  add(ms: number): void {
    const bucket = Math.ceil(Math.log(Math.max(ms, leastMs) / leastMs) / Math.log(growth));
    this.counts[Math.min(bucket, bucketCount - 1)]!++;
  }

  merge(counts: readonly number[]): void {
    for (let i = 0; i < bucketCount; i++) this.counts[i]! += counts[i]!;
  }

  /** Milliseconds that the share of all stays below; NaN when there are none. */
  quantile(share: number): number {
    let left = share * this.counts.reduce((sum, count) => sum + count, 0);
    if (left === 0) return Number.NaN;
    const bucket = this.counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    return leastMs * growth ** bucket;
  }
}
