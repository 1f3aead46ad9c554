import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it } from "vitest";
import { type ObservationSchema, ObservationsSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { NodeViews, servicePool } from "./node-views.ts";

type Told = MessageInitShape<typeof ObservationSchema>;

let clock: ManualClock;
let views: NodeViews;
let fullCount: number;
let changes: string[][];

beforeEach(() => {
  clock = new ManualClock();
  fullCount = 0;
  changes = [];
  views = new NodeViews({ clock, graceMs: 30_000, viewMaxCount: 3, onFull: () => fullCount++ });
  views.onChange((pools) => changes.push([...pools].sort()));
});

const tell = (nodeId: string, observations: readonly Told[], isStartOfAll = false) =>
  views.take(nodeId, create(ObservationsSchema, { observations: [...observations], isStartOfAll }));
const seen = (address: string, init: Told = {}): Told => ({
  upstreamId: "u",
  targetId: "t",
  address,
  healthy: true,
  ...init,
});

/** "node address healthy" of everything that is seen of a pool. */
const of = (pool = "u") =>
  [...views.ofPool(pool).views()].map(({ nodeId, view }) => `${nodeId} ${view.address} ${view.isHealthy}`).sort();

describe("NodeViews", () => {
  it("keeps the newest of each node and endpoint, and tells which pools changed", () => {
    views.connected("n2", "h2");
    views.connected("n1", "h1");
    tell("n2", [seen("1.1.1.1:80")]);
    tell("n1", [seen("1.1.1.1:80"), seen("1.1.1.2:80", { upstreamId: "v" })]);
    tell("n1", [seen("1.1.1.1:80", { healthy: false })]);
    expect(of()).toEqual(["n1 1.1.1.1:80 false", "n2 1.1.1.1:80 true"]);
    expect(changes).toEqual([["u"], ["u", "v"], ["u"]]);
  });

  it("leaves half of the room to the targets of upstreams", () => {
    views.connected("n", "h");
    const host = (serviceId: string) => ({ serviceId, address: "1.1.1.1:80", healthy: true });
    tell("n", [host("s1"), host("s2"), host("s3"), seen("1.1.1.1:80")]);
    expect([of(servicePool("s1")).length, of(servicePool("s2")).length, of(servicePool("s3")).length]).toEqual([
      1, 1, 0,
    ]);
    expect([of(), fullCount]).toEqual([["n 1.1.1.1:80 true"], 1]);
  });

  it("forgets an endpoint that is gone, and all of a node that starts anew", () => {
    views.connected("n", "h");
    tell("n", [seen("1.1.1.1:80"), seen("1.1.1.2:80"), seen("1.1.1.3:80", { upstreamId: "v" })], true);
    tell("n", [seen("1.1.1.1:80", { gone: true }), seen("9.9.9.9:80", { gone: true })]);
    expect(of()).toEqual(["n 1.1.1.2:80 true"]);
    tell("n", [seen("1.1.1.4:80")], true);
    expect([of(), of("v"), views.viewCount]).toEqual([["n 1.1.1.4:80 true"], [], 1]);
    expect(changes.at(-1)).toEqual(["u", "v"]);
  });

  it("keeps what a node saw for a while after its stream has closed", () => {
    views.connected("n", "h");
    tell("n", [seen("1.1.1.1:80")]);
    views.disconnected("n");
    clock.advance(29_999);
    expect(of()).toHaveLength(1);
    views.connected("n", "h");
    clock.advance(60_000);
    expect(of()).toHaveLength(1);
    views.disconnected("n");
    clock.advance(30_000);
    expect([of(), views.viewCount, clock.nextDelayMs()]).toEqual([[], 0, null]);
    expect(changes.at(-1)).toEqual(["u"]);
    tell("n", [seen("1.1.1.1:80")]);
    expect(of()).toEqual([]);
  });

  it("calls a node by the name that it has now, also in what it said before", () => {
    views.connected("n", "old");
    tell("n", [seen("1.1.1.1:80")]);
    views.connected("n", "new");
    expect([...views.ofPool("u").views()].map(({ hostname }) => hostname)).toEqual(["new"]);
    expect(views.viewCount).toBe(1);
  });

  it("keeps no more than its limit, says so once, and has room again after something went", () => {
    views.connected("n", "h");
    tell(
      "n",
      [1, 2, 3, 4, 5].map((i) => seen(`1.1.1.${i}:80`)),
    );
    expect([views.viewCount, fullCount]).toEqual([3, 1]);
    // One that is kept already can still change.
    tell("n", [seen("1.1.1.1:80", { healthy: false }), seen("1.1.1.3:80", { gone: true }), seen("1.1.1.6:80")]);
    expect(of()).toEqual(["n 1.1.1.1:80 false", "n 1.1.1.2:80 true", "n 1.1.1.6:80 true"]);
    tell("n", [seen("1.1.1.7:80")]);
    expect(fullCount).toBe(2);
  });

  it("takes one spelling of an address for another, and endpoints of services apart", () => {
    views.connected("n", "h");
    tell("n", [seen("[0:0:0:0:0:0:0:1]:80"), seen("[::1]:80", { healthy: false })]);
    expect(of()).toEqual(["n [::1]:80 false"]);
    tell("n", [{ serviceId: "s", address: "", dns: "ENOTFOUND" }]);
    expect(of(servicePool("s"))).toEqual(["n  false"]);
  });

  it("passes over what is nonsense, and cuts what is too long", () => {
    views.connected("n", "h");
    tell("n", [
      seen("name.test:80"),
      seen("1.1.1.1:80", { upstreamId: "" }),
      seen("1.1.1.1:80", { upstreamId: "u".repeat(65) }),
      seen(`1.1.1.9:${"0".repeat(60)}80`),
      seen("1.1.1.1:80", {
        reason: "r".repeat(1_000),
        dns: "d".repeat(1_000),
        sinceUnixMs: 2n ** 62n,
        weight: -1,
        transitionCount: -1n,
      }),
    ]);
    const [told] = views.ofPool("u").views();
    const view = told?.view;
    expect([view?.reason.length, view?.dns.length, view?.weight, view?.transitionCount]).toEqual([500, 200, 0, 0]);
    expect(new Date(view!.sinceUnixMs).toISOString()).toBe("9999-12-31T23:59:59.999Z");
    expect(views.viewCount).toBe(1);
  });
});
