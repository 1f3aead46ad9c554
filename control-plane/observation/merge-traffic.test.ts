import { describe, expect, it } from "vitest";
import { mergeTraffic } from "./merge-traffic.ts";
import type { EndpointTrafficView, NodeTrafficView } from "./traffic-views.ts";

const view = (targetId: string, address: string, requests: number): EndpointTrafficView => ({
  targetId,
  address,
  counts: { requests, answers: 0, clientErrors: 0, serverErrors: 0, losses: 0, ejections: 0 },
  inFlight: 0,
  recent: null,
  ejectionsLastMinute: 0,
});
const node = (nodeId: string, ...endpoints: EndpointTrafficView[]): NodeTrafficView => ({
  nodeId,
  hostname: `host-of-${nodeId}`,
  endpoints,
});
const nodes = [
  node("a", view("t1", "1.1.1.1:80", 1), view("t1", "1.1.1.2:80", 2), view("t2", "1.1.1.1:80", 4)),
  node("b", view("t1", "1.1.1.1:80", 8)),
];

describe("mergeTraffic", () => {
  it("adds up by endpoint, target and upstream", () => {
    const { total, targets, nodes: byNode } = mergeTraffic(nodes, false);
    const told = [...targets].map(([id, target]) => [
      id,
      target.total.counts.requests,
      [...target.endpoints].map(([address, endpoint]) => `${address} ${endpoint.total.counts.requests}`),
    ]);
    expect([total.counts.requests, told, byNode]).toEqual([
      15,
      [
        ["t1", 11, ["1.1.1.1:80 9", "1.1.1.2:80 2"]],
        ["t2", 4, ["1.1.1.1:80 4"]],
      ],
      [],
    ]);
    expect(targets.get("t1")?.endpoints.get("1.1.1.1:80")?.nodes).toEqual([]);
  });

  it("tells of each node where that is asked for", () => {
    const { targets, nodes: byNode } = mergeTraffic(nodes, true);
    const brief = (figures: typeof byNode) =>
      figures.map(({ nodeId, hostname, figures: { counts } }) => `${nodeId} ${hostname} ${counts.requests}`);
    expect(brief(byNode)).toEqual(["a host-of-a 7", "b host-of-b 8"]);
    expect(brief(targets.get("t1")!.endpoints.get("1.1.1.1:80")!.nodes)).toEqual(["a host-of-a 1", "b host-of-b 8"]);
  });

  it("is nothing where no node tells anything", () => {
    const { total, targets } = mergeTraffic([], true);
    expect([total.counts.requests, total.p50Ms, targets.size]).toEqual([0, null, 0]);
  });
});
