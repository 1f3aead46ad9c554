/**
 * The buckets in which nodes count how long answers take, and from which the control plane tells quantiles. Both planes
 * must mean the same by a bucket's number: it is part of the contract (TrafficReport in sync.proto).
 *
 * Times are whole units of 32 us. The first four buckets are a unit wide each; after them each doubling of the time is four
 * buckets of equal width, so that a bucket is at most a quarter as wide as the shortest time in it. The last one has
 * everything from 58.7 s on.
 */
export const latencyBucketCount = 80;

const unitsPerMs = 31.25;
/** The end of the last bucket but one, in units. */
const lastBeginsAt = 7 * 2 ** 18;

/** The bucket of a time in milliseconds. Cost: about 3 ns, whatever the time. */
export function latencyBucket(ms: number): number {
  const exact = ms * unitsPerMs;
  if (!(exact < lastBeginsAt)) return latencyBucketCount - 1;
  const units = exact | 0;
  if (units < 4) return units < 0 ? 0 : units;
  const octave = 31 - Math.clz32(units);
  return (octave - 1) * 4 + ((units >> (octave - 2)) & 3);
}

/** Milliseconds at which a bucket begins; the bucket after the last one begins where the last one is taken to end. */
export function latencyBucketStartMs(bucket: number): number {
  if (bucket < 4) return bucket / unitsPerMs;
  const octave = Math.floor(bucket / 4) + 1;
  return ((4 + (bucket % 4)) * 2 ** (octave - 2)) / unitsPerMs;
}
