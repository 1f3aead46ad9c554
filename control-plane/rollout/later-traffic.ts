import type { FleetCounts } from "./fleet-counts.ts";
import type { TrafficShare } from "./judge-stage.ts";

/**
 * Requests of nodes after a moment. Nodes tell what they count every few seconds: what a node tells first after that moment
 * is of requests before it as well, and is where its count begins.
 */
export class LaterTraffic {
  readonly #counts: FleetCounts;
  readonly #toldBefore = new Map<string, number>();
  readonly #from = new Map<string, { readonly counted: TrafficShare; readonly toldCount: number }>();

  /** From now on, of nodes that are there now or come later. */
  constructor(counts: FleetCounts, nodeIds: readonly string[]) {
    this.#counts = counts;
    this.look(nodeIds);
  }

  /** To be called for each look at the fleet. */
  look(nodeIds: readonly string[]): void {
    for (const id of nodeIds) {
      if (this.#from.has(id)) continue;
      const toldCount = this.#counts.toldCount(id);
      const before = this.#toldBefore.get(id);
      if (before === undefined) this.#toldBefore.set(id, toldCount);
      else if (toldCount > before) this.#from.set(id, { counted: this.#counts.of(id), toldCount });
    }
  }

  /** Whether a node has told of requests after the moment, be it that there were none. */
  hasTold(nodeId: string): boolean {
    const from = this.#from.get(nodeId);
    return from !== undefined && this.#counts.toldCount(nodeId) > from.toldCount;
  }

  /** Of some nodes; nothing of one that has told less than twice since. */
  of(nodeIds: readonly string[]): TrafficShare {
    let [requests, errors] = [0, 0];
    for (const id of nodeIds) {
      const from = this.#from.get(id);
      if (from === undefined) continue;
      const counted = this.#counts.of(id);
      requests += counted.requests - from.counted.requests;
      errors += counted.errors - from.counted.errors;
    }
    return { requests, errors };
  }
}
