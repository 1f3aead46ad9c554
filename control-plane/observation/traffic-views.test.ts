import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, it } from "vitest";
import { type EndpointTrafficSchema, TrafficReportSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { TrafficViews } from "./traffic-views.ts";

type Told = MessageInitShape<typeof EndpointTrafficSchema>;

let clock: ManualClock;
let views: TrafficViews;
let fullCount: number;
let changes: string[][];
let look: number;

beforeEach(() => {
  clock = new ManualClock();
  fullCount = 0;
  changes = [];
  look = 0;
  views = new TrafficViews({ clock, viewMaxCount: 3, onFull: () => fullCount++ });
  views.onChange((upstreams) => changes.push([...upstreams].sort()));
  views.connected("n", "h");
});

/** The next look of the node, two seconds later. */
function tell(endpoints: readonly Told[], nodeId = "n"): void {
  const report = { endpoints: [...endpoints], look: BigInt(++look), interval: durationFromMs(2_000) };
  views.take(nodeId, create(TrafficReportSchema, report));
}
/** More of the look before. */
function tellSameLook(endpoints: readonly Told[], isStartOfAll = false): void {
  const report = { endpoints: [...endpoints], look: BigInt(look), interval: durationFromMs(2_000), isStartOfAll };
  views.take("n", create(TrafficReportSchema, report));
}
function comeAndGo(upstreamId: string): void {
  const address = "1.1.1.3:80";
  tellSameLook([sent(0, { address, gone: true })]);
  tellSameLook([sent(1, { upstreamId, address })]);
  tellSameLook([sent(0, { upstreamId, address, gone: true })]);
}
const tellAll = (endpoints: readonly Told[], nodeId = "n") =>
  views.take(nodeId, create(TrafficReportSchema, { endpoints: [...endpoints], isStartOfAll: true }));
const sent = (requestCount: number, init: Told = {}): Told => ({
  ...{ upstreamId: "u", targetId: "t", address: "1.1.1.1:80" },
  requestCount: BigInt(requestCount),
  ...init,
});
const of = (upstream = "u") => views.ofUpstream(upstream).flatMap(({ endpoints }) => endpoints);
/** "address requests (in the last interval)" */
const brief = (upstream = "u") =>
  of(upstream).map(({ address, counts, recent }) => `${address} ${counts.requests} (${recent?.requests ?? "quiet"})`);

describe("TrafficViews", () => {
  it("measures by what is told first, and by every interval after that", () => {
    tellAll([sent(1_000)]);
    expect(brief()).toEqual(["1.1.1.1:80 1000 (quiet)"]);
    tell([
      sent(1_010, { serverErrorCount: 2n, lossCount: 1n, inFlight: 4, latencyBuckets: [3, 79], latencyCounts: [8, 1] }),
      sent(7, { address: "1.1.1.2:80" }),
    ]);
    expect(brief()).toEqual(["1.1.1.1:80 1010 (10)", "1.1.1.2:80 7 (7)"]);
    expect(of()[0]).toMatchObject({
      targetId: "t",
      inFlight: 4,
      counts: { requests: 1_010, serverErrors: 2, losses: 1 },
      recent: { intervalMs: 2_000, errors: 3, latencyBuckets: [3, 79], latencyCounts: [8, 1] },
    });
    // Only the second: the first has become quiet.
    tell([sent(9, { address: "1.1.1.2:80" })]);
    expect(brief()).toEqual(["1.1.1.1:80 1010 (quiet)", "1.1.1.2:80 9 (2)"]);
    tell([]);
    expect(brief()).toEqual(["1.1.1.1:80 1010 (quiet)", "1.1.1.2:80 9 (quiet)"]);
    expect(changes).toEqual([["u"], ["u"], ["u"], ["u"]]);
  });

  it("tells who watches of what became quiet, once", () => {
    tell([sent(1), sent(1, { upstreamId: "v" })]);
    tell([sent(2)]);
    tell([]);
    tell([]);
    expect(changes).toEqual([["u", "v"], ["u", "v"], ["u"]]);
  });

  it("takes several messages of one look for one", () => {
    tell([sent(5)]);
    look--;
    tell([sent(6, { address: "1.1.1.2:80" })]);
    expect(brief()).toEqual(["1.1.1.1:80 5 (5)", "1.1.1.2:80 6 (6)"]);
  });

  it("takes a count that has fallen for one from 0", () => {
    tellAll([sent(1_000, { ejectionCount: 5n })]);
    tell([sent(3, { ejectionCount: 1n })]);
    expect(brief()).toEqual(["1.1.1.1:80 3 (3)"]);
    expect(of()[0]?.ejectionsLastMinute).toBe(1);
  });

  it("counts the ejections of the last minute", () => {
    tellAll([sent(1, { ejectionCount: 100n })]);
    tell([sent(2, { ejectionCount: 101n })]);
    clock.advance(30_000);
    tell([sent(3, { ejectionCount: 103n })]);
    const lastMinute = () => of()[0]?.ejectionsLastMinute;
    expect(lastMinute()).toBe(3);
    clock.advance(30_000);
    expect(lastMinute()).toBe(2);
    clock.advance(30_000);
    expect([lastMinute(), of()[0]?.counts.ejections]).toEqual([0, 103]);
  });

  it("forgets an endpoint that is gone, and a node whose stream has ended, at once", () => {
    views.connected("m", "h2");
    tell([sent(1), sent(2, { address: "1.1.1.2:80" })]);
    tellAll([sent(3)], "m");
    tell([sent(0, { gone: true }), sent(0, { address: "9.9.9.9:80", gone: true })]);
    expect(views.ofUpstream("u").map(({ nodeId, hostname }) => `${nodeId} ${hostname}`)).toEqual(["m h2", "n h"]);
    expect(brief()).toEqual(["1.1.1.1:80 3 (quiet)", "1.1.1.2:80 2 (quiet)"]);
    views.disconnected("n");
    expect([brief(), views.viewCount, changes.at(-1)]).toEqual([["1.1.1.1:80 3 (quiet)"], 1, ["u"]]);
    tell([sent(5)]);
    expect(brief()).toEqual(["1.1.1.1:80 3 (quiet)"]);
    views.connected("n", "h");
    tellAll([sent(7)]);
    expect(brief()).toEqual(["1.1.1.1:80 3 (quiet)", "1.1.1.1:80 7 (quiet)"]);
  });

  it("keeps no more than its limit, says so once, and has room again after something went", () => {
    const addresses = [1, 2, 3, 4, 5].map((i) => `1.1.1.${i}:80`);
    tell(addresses.map((address) => sent(1, { address })));
    expect([views.viewCount, fullCount]).toEqual([3, 1]);
    tell([sent(2), sent(0, { address: addresses[2]!, gone: true }), sent(1, { address: addresses[3]! })]);
    expect(brief()).toEqual(["1.1.1.1:80 2 (1)", "1.1.1.2:80 1 (quiet)", "1.1.1.4:80 1 (1)"]);
    tellAll([]);
    expect([views.viewCount, brief()]).toEqual([0, []]);
  });

  it.each<[string, (upstreamId: string) => void]>([
    ["for which there is no room", (upstreamId) => tellSameLook([sent(1, { upstreamId })])],
    ["whose address is none", (upstreamId) => tellSameLook([sent(1, { upstreamId, address: "nonsense" })])],
    ["that it never had", (upstreamId) => tellSameLook([sent(1, { upstreamId, gone: true })])],
    ["that come and go", comeAndGo],
    ["that are told anew", (upstreamId) => tellSameLook([sent(1, { upstreamId })], true)],
  ])("remembers nothing of upstreams %s", (_, say) => {
    const addresses = [1, 2, 3].map((i) => `1.1.1.${i}:80`);
    tell(addresses.map((address) => sent(1, { address })));
    for (let i = 0; i < 100; i++) say(`v${i}`);
    changes.length = 0;
    tell([]);
    expect(changes.flat().filter((upstream) => views.ofUpstream(upstream).length === 0)).toEqual([]);
  });

  it("passes over what is nonsense, and goes on", () => {
    tell([
      sent(1, { address: "name.test:80" }),
      sent(1, { upstreamId: "" }),
      sent(1, { upstreamId: "u".repeat(65) }),
      sent(1, { targetId: "t".repeat(65) }),
      sent(1, { address: `1.1.1.9:${"0".repeat(60)}80` }),
      sent(-1, { address: "1.1.1.2:80", inFlight: -1, latencyBuckets: [1, 2], latencyCounts: [1] }),
      sent(1, { address: "1.1.1.3:80", latencyBuckets: [1, 2], latencyCounts: [0, 1] }),
      sent(1, { address: "[0:0:0:0:0:0:0:1]:80", latencyBuckets: [4_000_000_000], latencyCounts: [1] }),
    ]);
    expect(of()).toMatchObject([
      {
        address: "1.1.1.2:80",
        inFlight: 0,
        counts: { requests: 0 },
        recent: { latencyBuckets: [], latencyCounts: [] },
      },
      { address: "1.1.1.3:80", recent: { latencyBuckets: [], latencyCounts: [] } },
      { address: "[::1]:80", recent: { latencyBuckets: [79], latencyCounts: [1] } },
    ]);
  });
});
