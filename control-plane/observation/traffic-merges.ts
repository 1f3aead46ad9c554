import { type MergedTraffic, mergeTraffic } from "./merge-traffic.ts";
import type { TrafficViews } from "./traffic-views.ts";

/** The traffic of an upstream over all nodes, and how many they are. */
export interface UpstreamMerge {
  readonly merged: MergedTraffic;
  readonly nodeCount: number;
}

export interface TrafficMergesOptions {
  readonly views: Pick<TrafficViews, "ofUpstream" | "onChange">;
  readonly clock: { monotonicMs(): number };
  /** Default: mergeTraffic. */
  readonly merge?: typeof mergeTraffic;
}

interface Made extends UpstreamMerge {
  readonly upstreamId: string;
  readonly atMs: number;
}

/** For so long one is good, in milliseconds: what was ejected in the last minute gets less without anything being told. */
const goodForMs = 1_000;

/**
 * Merges that all who ask the same share: whoever watches, and whoever reads meanwhile. One is made when it is first asked
 * for, and again after a node has told something new of the upstream. Those that nobody has asked for lately are let go.
 */
export class TrafficMerges {
  readonly #options: TrafficMergesOptions;
  readonly #merge: typeof mergeTraffic;
  /** By question, oldest first. */
  readonly #made = new Map<string, Made>();

  constructor(options: TrafficMergesOptions) {
    this.#options = options;
    this.#merge = options.merge ?? mergeTraffic;
    options.views.onChange((upstreams) => {
      for (const [question, { upstreamId }] of this.#made) if (upstreams.has(upstreamId)) this.#made.delete(question);
    });
  }

  /** @param byNode whether to tell of each node as well */
  ofUpstream(upstreamId: string, byNode: boolean): UpstreamMerge {
    const { views, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const [question, { atMs }] of this.#made) {
      if (nowMs - atMs < goodForMs) break;
      this.#made.delete(question);
    }
    const question = `${byNode} ${upstreamId}`;
    const made = this.#made.get(question);
    if (made !== undefined) return made;
    const nodes = views.ofUpstream(upstreamId);
    const merge = { upstreamId, atMs: nowMs, merged: this.#merge(nodes, byNode), nodeCount: nodes.length };
    this.#made.set(question, merge);
    return merge;
  }
}
