import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { TrafficReportSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { mergeTraffic } from "./merge-traffic.ts";
import { TrafficMerges } from "./traffic-merges.ts";
import { TrafficViews } from "./traffic-views.ts";

function openMerges() {
  const clock = new ManualClock();
  const views = new TrafficViews({ clock, viewMaxCount: 100, onFull: () => {} });
  let count = 0;
  const merges = new TrafficMerges({
    views,
    clock,
    merge(nodes, byNode) {
      count++;
      return mergeTraffic(nodes, byNode);
    },
  });
  views.connected("n", "host");
  let look = 0n;
  const tell = (upstreamId: string, requests: bigint, ejections = 0n) => {
    const told = {
      upstreamId,
      targetId: "t",
      address: "127.0.0.1:1",
      requestCount: requests,
      ejectionCount: ejections,
    };
    const report = { endpoints: [told], look: ++look, interval: durationFromMs(2_000) };
    views.take("n", create(TrafficReportSchema, report));
  };
  return { clock, views, merges, tell, count: () => count };
}

describe("TrafficMerges", () => {
  it("merges once for all who ask the same, and again only when something new is told of that upstream", () => {
    const { merges, tell, count } = openMerges();
    tell("u", 1n);
    tell("other", 1n);
    const first = merges.ofUpstream("u", false);
    expect([merges.ofUpstream("u", false) === first, first.nodeCount, count()]).toEqual([true, 1, 1]);
    for (const requests of [2n, 3n]) tell("other", requests);
    merges.ofUpstream("u", false);
    expect(count()).toBe(1);
    tell("u", 5n);
    for (let i = 0; i < 50; i++) expect(merges.ofUpstream("u", false).merged.total.counts.requests).toBe(5);
    expect(count()).toBe(2);
  });

  it("keeps who asks by node apart", () => {
    const { merges, tell, count } = openMerges();
    tell("u", 1n);
    for (let i = 0; i < 3; i++) {
      expect(merges.ofUpstream("u", false).merged.nodes).toEqual([]);
      expect(merges.ofUpstream("u", true).merged.nodes).toHaveLength(1);
    }
    expect(count()).toBe(2);
  });

  it("tells no later than after a second that a minute is over, and of a node that is gone at once", () => {
    const { clock, views, merges, tell, count } = openMerges();
    tell("u", 1n, 2n);
    expect(merges.ofUpstream("u", false).merged.total.ejectionsLastMinute).toBe(2);
    clock.advance(999);
    merges.ofUpstream("u", false);
    expect(count()).toBe(1);
    clock.advance(60_000);
    expect(merges.ofUpstream("u", false).merged.total.ejectionsLastMinute).toBe(0);
    views.disconnected("n");
    expect(merges.ofUpstream("u", false).nodeCount).toBe(0);
  });
});
