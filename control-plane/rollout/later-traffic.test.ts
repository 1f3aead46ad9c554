import { describe, expect, it } from "vitest";
import { nodeStatus } from "../../test/support/node-status.ts";
import type { NodeFigures } from "../sync/node-figures.ts";
import { FleetCounts } from "./fleet-counts.ts";
import { LaterTraffic } from "./later-traffic.ts";

const silent: NodeFigures = {
  ...{ atUnixMs: 0, requestsPerSecond: 0, errorRatio: 0, requestCount: 0, failureCount: 0, connectionCount: 0 },
  ...{ endpointCount: 0, healthyEndpointCount: 0, workers: [], lostWorkerCount: 0 },
};

/** A fleet whose nodes tell their counts, and what is said of the traffic since a moment. */
function rig() {
  const counts = new FleetCounts();
  const told = new Map<string, NodeFigures>();
  let later: LaterTraffic | null = null;
  const look = () => {
    counts.look([...told].map(([id, figures]) => nodeStatus({ id, figures })));
    later?.look([...told.keys()]);
  };
  const tell = (id: string, requestCount: number, failureCount: number) => {
    told.set(id, { ...silent, requestCount, failureCount });
    look();
  };
  const begin = () => {
    counts.look([...told].map(([id, figures]) => nodeStatus({ id, figures })));
    later = new LaterTraffic(counts, [...told.keys()]);
    return later;
  };
  return { tell, look, begin };
}

describe("LaterTraffic", () => {
  it("does not count what a node tells late of the time before", () => {
    const { tell, look, begin } = rig();
    tell("a", 100, 0);
    const later = begin();
    tell("a", 200, 90);
    look();
    expect([later.of(["a"]), later.hasTold("a")]).toEqual([{ requests: 0, errors: 0 }, false]);
    tell("a", 250, 91);
    expect([later.of(["a"]), later.hasTold("a")]).toEqual([{ requests: 50, errors: 1 }, true]);
  });

  it("counts from when a node has told something, also the same as before", () => {
    const { tell, begin } = rig();
    tell("a", 100, 0);
    const later = begin();
    tell("a", 100, 0);
    expect(later.hasTold("a")).toBe(false);
    tell("a", 100, 0);
    expect(later.hasTold("a")).toBe(true);
    tell("a", 130, 30);
    expect(later.of(["a"])).toEqual({ requests: 30, errors: 30 });
  });

  it("adds up the nodes that are asked about, and those alone", () => {
    const { tell, begin } = rig();
    for (const id of ["a", "b", "c"]) tell(id, 10, 0);
    const later = begin();
    for (const id of ["a", "b", "c"]) tell(id, 10, 0);
    for (const [id, count] of [
      ["a", 11],
      ["b", 12],
      ["c", 110],
    ] as const)
      tell(id, count, 0);
    expect(later.of(["a", "b", "d"])).toEqual({ requests: 3, errors: 0 });
  });

  it("goes on where a node counts from 0 again", () => {
    const { tell, begin } = rig();
    tell("a", 100, 0);
    const later = begin();
    tell("a", 110, 0);
    tell("a", 5, 2);
    expect(later.of(["a"])).toEqual({ requests: 5, errors: 2 });
  });
});
