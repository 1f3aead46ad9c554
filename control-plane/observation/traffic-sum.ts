import { latencyBucketCount, latencyBucketStartMs } from "../../proto/latency-buckets.ts";
import { countable } from "./told-values.ts";
import type { EndpointTrafficView, TrafficCounts } from "./traffic-views.ts";

/** What requests meet somewhere: at an endpoint, a target or an upstream, of one node or of several. */
export interface TrafficFigures {
  /** Since the nodes know the endpoints; each at most what can be counted with, as everything here that counts. */
  readonly counts: TrafficCounts;
  /** Of each node's last interval. */
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Of requests, 0 to 1. */
  readonly errorRatio: number;
  /** From sending a request to its answer's head; null where nothing was answered in the last interval. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
  readonly ejectionsLastMinute: number;
}

/**
 * Adds up what nodes say of endpoints. Rates add up, each by its own node's interval; times are quantiles of all answers
 * together, weighted by those rates, and never means of quantiles.
 */
export class TrafficSum {
  readonly #counts = { requests: 0, answers: 0, clientErrors: 0, serverErrors: 0, losses: 0, ejections: 0 };
  #requestsPerSecond = 0;
  #errorsPerSecond = 0;
  #inFlight = 0;
  #ejectionsLastMinute = 0;
  /** Answers a second by bucket; null while there are none. */
  #latencies: Float64Array | null = null;

  add({ counts, inFlight, recent, ejectionsLastMinute }: EndpointTrafficView): void {
    const sums = this.#counts;
    sums.requests += counts.requests;
    sums.answers += counts.answers;
    sums.clientErrors += counts.clientErrors;
    sums.serverErrors += counts.serverErrors;
    sums.losses += counts.losses;
    sums.ejections += counts.ejections;
    this.#inFlight += inFlight;
    this.#ejectionsLastMinute += ejectionsLastMinute;
    if (recent === null) return;
    const perSecond = 1_000 / recent.intervalMs;
    this.#requestsPerSecond += recent.requests * perSecond;
    this.#errorsPerSecond += recent.errors * perSecond;
    if (recent.latencyBuckets.length === 0) return;
    this.#latencies ??= new Float64Array(latencyBucketCount);
    for (const [i, bucket] of recent.latencyBuckets.entries())
      this.#latencies[bucket]! += recent.latencyCounts[i]! * perSecond;
  }

  figures(): TrafficFigures {
    const [requests, errors] = [this.#requestsPerSecond, this.#errorsPerSecond];
    return {
      counts: countableCounts(this.#counts),
      requestsPerSecond: requests,
      errorsPerSecond: errors,
      // More where requests failed that were sent in the interval before.
      errorRatio: errors === 0 ? 0 : Math.min(1, errors / requests),
      p50Ms: this.#latencies === null ? null : latencyQuantileMs(this.#latencies, 0.5),
      p99Ms: this.#latencies === null ? null : latencyQuantileMs(this.#latencies, 0.99),
      inFlight: this.#inFlight,
      ejectionsLastMinute: countable(this.#ejectionsLastMinute),
    };
  }
}

/** Sums of what can be counted with are more than that soon, where nodes tell nonsense. */
function countableCounts(counts: TrafficCounts): TrafficCounts {
  return {
    requests: countable(counts.requests),
    answers: countable(counts.answers),
    clientErrors: countable(counts.clientErrors),
    serverErrors: countable(counts.serverErrors),
    losses: countable(counts.losses),
    ejections: countable(counts.ejections),
  };
}

/**
 * The time that this share of the answers took at most, evenly spread within its bucket: off by less than a bucket's
 * width, so by at most a quarter, or 32 us.
 *
 * @param counts by bucket; not all 0
 * @param ratio above 0, to 1
 */
export function latencyQuantileMs(counts: Float64Array, ratio: number): number {
  let sum = 0;
  for (const count of counts) sum += count;
  const rank = sum * ratio;
  let below = 0;
  let last = 0;
  for (const [bucket, count] of counts.entries()) {
    if (count === 0) continue;
    last = bucket;
    if (below + count >= rank) break;
    below += count;
  }
  const [startMs, endMs] = [latencyBucketStartMs(last), latencyBucketStartMs(last + 1)];
  // Sums of fractions may end a little short of the rank.
  return startMs + (endMs - startMs) * Math.min(1, Math.max(0, (rank - below) / counts[last]!));
}
