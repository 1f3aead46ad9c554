import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { HealthState } from "../../../proto/gen/penstock/admin/v1/health_pb.ts";
import { TrafficAPI } from "../../../proto/gen/penstock/admin/v1/traffic_pb.ts";
import {
  type EndpointTrafficSchema,
  ObservationsSchema,
  TrafficReportSchema,
} from "../../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { granted, targetDraft, upstreamDraft } from "../../../test/support/drafts.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";

const { getTraffic, watchTraffic } = TrafficAPI.method;

let rig: RpcRig;
let look: bigint;

beforeEach(async () => {
  rig = await startRpcRig();
  onTestFinished(() => rig.close());
  look = 0n;
  await createUpstream("u");
  for (const nodeId of ["n1", "n2"]) rig.trafficViews.connected(nodeId, `host-of-${nodeId}`);
});

async function createUpstream(name: string): Promise<void> {
  granted(await rig.admin.upstream.create(upstreamDraft({ name })));
  granted(await rig.admin.target.create(targetDraft({ target: "127.0.0.1:9001" }), name));
}

const idsOf = (upstream: string) => ({
  upstreamId: granted(rig.admin.upstream.get({ key: upstream })).id,
  targetId: granted(rig.admin.target.get({ key: "127.0.0.1:9001", parent: upstream })).id,
});

/** What a node says of an endpoint, of an interval of two seconds. */
function tell(nodeId: string, told: MessageInitShape<typeof EndpointTrafficSchema>, upstream = "u"): void {
  const endpoints = [{ ...idsOf(upstream), address: "127.0.0.1:9001", ...told }];
  const report = { endpoints, look: ++look, interval: durationFromMs(2_000) };
  rig.trafficViews.take(nodeId, create(TrafficReportSchema, report));
}

describe("TrafficAPI.GetTraffic", () => {
  it("adds up what the nodes tell, beside what is configured and how healthy it is", async () => {
    rig.views.connected("n1", "host-of-n1");
    const seen = { ...idsOf("u"), healthy: false, isChecked: true, weight: 100 };
    const observations = ["127.0.0.1:9001", "127.0.0.2:9001"].map((address) => ({ ...seen, address }));
    rig.views.take("n1", create(ObservationsSchema, { observations }));
    tell("n1", { requestCount: 100n, serverErrorCount: 10n, inFlight: 3, latencyBuckets: [20], latencyCounts: [100] });
    tell("n2", { requestCount: 20n, answerCount: 19n, clientErrorCount: 2n, lossCount: 2n, ejectionCount: 1n });
    const { upstreams, nextPageToken } = await rig.call(getTraffic, { upstream: "u" });
    expect([upstreams.length, nextPageToken]).toEqual([1, ""]);
    const [{ targets, figures, ...upstream }] = upstreams;
    expect(upstream).toMatchObject({ upstreamName: "u", state: HealthState.UNHEALTHY, nodeCount: 2, nodes: [] });
    expect(figures).toMatchObject({
      ...{ requestCount: 120n, answerCount: 19n, clientErrorCount: 2n, serverErrorCount: 10n, lossCount: 2n },
      ...{ ejectionCount: 1n, ejectionsLastMinute: 1n, requestsPerSecond: 60, errorsPerSecond: 6, errorRatio: 0.1 },
      inFlight: 3n,
    });
    // Bucket 20 goes from 2.048 ms to 2.56 ms.
    expect(figures.latencyP50Ms).toBeCloseTo(2.304, 6);
    expect(targets).toMatchObject([
      {
        ...{ target: "127.0.0.1:9001", weight: 100, state: HealthState.UNHEALTHY, figures: { requestCount: 120n } },
        endpoints: [
          { address: "127.0.0.1:9001", state: HealthState.UNHEALTHY, figures: { requestCount: 120n }, nodes: [] },
          { address: "127.0.0.2:9001", state: HealthState.UNHEALTHY, figures: { requestCount: 0n } },
        ],
      },
    ]);
    expect(targets[0].endpoints[1].figures.latencyP50Ms).toBeUndefined();
  });

  it("tells of each node where that is asked for", async () => {
    tell("n2", { requestCount: 2n });
    tell("n1", { requestCount: 1n });
    const { upstreams } = await rig.call(getTraffic, { upstream: "u", byNode: true });
    const nodes = [
      { nodeId: "n1", hostname: "host-of-n1", figures: { requestCount: 1n } },
      { nodeId: "n2", hostname: "host-of-n2", figures: { requestCount: 2n } },
    ];
    expect(upstreams[0].nodes).toMatchObject(nodes);
    expect(upstreams[0].targets[0].endpoints[0].nodes).toMatchObject(nodes);
  });

  it("tells last of a target that was removed and has requests under way", async () => {
    tell("n1", { requestCount: 5n, inFlight: 1 });
    tell("n1", { requestCount: 7n, inFlight: 1, targetId: "removed" });
    const { upstreams } = await rig.call(getTraffic, { upstream: "u" });
    expect(upstreams[0].targets).toMatchObject([
      { target: "127.0.0.1:9001", figures: { requestCount: 5n } },
      { targetId: "removed", target: "", figures: { requestCount: 7n }, endpoints: [{ address: "127.0.0.1:9001" }] },
    ]);
  });

  it("tells of all upstreams in pages", async () => {
    for (const name of ["a", "b"]) await createUpstream(name);
    tell("n1", { requestCount: 5n }, "b");
    const seen = new Map<string, bigint>();
    let pageToken = "";
    let pageCount = 0;
    do {
      const page = await rig.call(getTraffic, { pageSize: 2, pageToken });
      for (const { upstreamName, figures } of page.upstreams) seen.set(upstreamName, figures.requestCount);
      pageToken = page.nextPageToken;
      pageCount++;
    } while (pageToken !== "");
    expect([pageCount, Object.fromEntries(seen)]).toEqual([2, { a: 0n, b: 5n, u: 0n }]);
  });

  it("is NOT_FOUND for an upstream that is not there, and INVALID_ARGUMENT for a page that is none", async () => {
    await expect(rig.call(getTraffic, { upstream: "x" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(rig.call(getTraffic, { pageToken: "x" })).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(rig.call(getTraffic, { pageSize: 1_001 })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });
});

describe("TrafficAPI.WatchTraffic", () => {
  it("tells what there is, what changes and what is deleted, of one upstream only", async () => {
    await createUpstream("other");
    const stream = rig.stream(watchTraffic);
    stream.end({ upstream: "u", byNode: true });
    expect((await stream.next()).traffic).toMatchObject({ upstreamName: "u", figures: { requestCount: 0n } });
    tell("n1", { requestCount: 5n }, "other");
    tell("n1", { requestCount: 6n });
    const { traffic } = await stream.next();
    expect(traffic).toMatchObject({ upstreamName: "u", figures: { requestCount: 6n }, nodes: [{ nodeId: "n1" }] });
    granted(await rig.admin.upstream.remove({ key: "u" }));
    expect(await stream.next()).toMatchObject({ deleted: true, traffic: { upstreamName: "u", targets: [] } });
    await stream.cancel();
  });

  it("tells of all upstreams, and of a node that is gone", async () => {
    await createUpstream("a");
    tell("n1", { requestCount: 6n });
    const stream = rig.stream(watchTraffic);
    stream.end({});
    const told = [await stream.next(), await stream.next()].map(({ traffic }) => traffic);
    expect(told.map(({ upstreamName, nodeCount }) => `${upstreamName} ${nodeCount}`)).toEqual(["a 0", "u 1"]);
    rig.trafficViews.disconnected("n1");
    expect((await stream.next()).traffic).toMatchObject({ upstreamName: "u", nodeCount: 0 });
    await stream.cancel();
  });

  it("is NOT_FOUND for an upstream that is not there, and ends with the control plane", async () => {
    const missing = rig.stream(watchTraffic);
    missing.end({ upstream: "x" });
    expect((await missing.next()).code).toBe(Code.NotFound);
    const stream = rig.stream(watchTraffic);
    stream.end({ upstream: "u" });
    await stream.next();
    rig.shutDown();
    expect((await stream.next()).code).toBe(Code.Unavailable);
  });
});
