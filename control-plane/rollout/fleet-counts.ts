import type { NodeStatus } from "../sync/fleet.ts";
import type { TrafficShare } from "./judge-stage.ts";

/** What a node has counted since it is watched; never falls, also where the node starts anew. */
interface Counted {
  readonly requests: number;
  readonly errors: number;
  readonly lostWorkers: number;
}

interface Watched {
  last: Counted | null;
  total: Counted;
  /** How often it has told something. */
  toldCount: number;
  figures: NodeStatus["figures"];
}

/** The counts of the fleet at one moment. */
export type FleetMark = ReadonlyMap<string, Counted>;

const nothing: Counted = { requests: 0, errors: 0, lostWorkers: 0 };

/** Adds up what nodes say of themselves, from look to look. What a node counted before it is first seen is none of it. */
export class FleetCounts {
  readonly #watched = new Map<string, Watched>();

  look(nodes: readonly NodeStatus[]): void {
    for (const { id, figures } of nodes) {
      if (figures === null) continue;
      const { requestCount: requests, failureCount: errors, lostWorkerCount: lostWorkers } = figures;
      const told = { requests, errors, lostWorkers };
      const watched = this.#watched.get(id) ?? { last: null, total: nothing, toldCount: 0, figures: null };
      if (figures !== watched.figures) watched.toldCount++;
      watched.figures = figures;
      // A node that counts less than before counts from 0 again.
      const isAnew = watched.last !== null && told.requests < watched.last.requests;
      const since = isAnew ? nothing : (watched.last ?? told);
      watched.total = sum(watched.total, difference(told, since));
      watched.last = told;
      this.#watched.set(id, watched);
    }
    if (this.#watched.size <= 2 * nodes.length) return;
    const known = new Set(nodes.map(({ id }) => id));
    for (const id of this.#watched.keys()) if (!known.has(id)) this.#watched.delete(id);
  }

  mark(): FleetMark {
    return new Map([...this.#watched].map(([id, { total }]) => [id, total]));
  }

  of(nodeId: string): Counted {
    return this.#watched.get(nodeId)?.total ?? nothing;
  }

  /** What a node has told changes with each time that it tells something, also the same as before. */
  toldCount(nodeId: string): number {
    return this.#watched.get(nodeId)?.toldCount ?? 0;
  }

  /** Requests of the nodes since the mark. A node that is not in it counts from when it was first seen. */
  since(mark: FleetMark, nodeIds: Iterable<string>): TrafficShare {
    let [requests, errors] = [0, 0];
    for (const id of nodeIds) {
      const more = difference(this.of(id), mark.get(id) ?? nothing);
      requests += more.requests;
      errors += more.errors;
    }
    return { requests, errors };
  }
}

function sum(left: Counted, right: Counted): Counted {
  return {
    requests: left.requests + right.requests,
    errors: left.errors + right.errors,
    lostWorkers: left.lostWorkers + right.lostWorkers,
  };
}

function difference(left: Counted, right: Counted): Counted {
  return {
    requests: left.requests - right.requests,
    errors: left.errors - right.errors,
    lostWorkers: Math.max(0, left.lostWorkers - right.lostWorkers),
  };
}
