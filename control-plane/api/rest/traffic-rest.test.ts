import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { TrafficReportSchema } from "../../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

let rig: RestRig;
let upstreamId: string;
let targetId: string;

beforeEach(async () => {
  rig = await startRestRig();
  onTestFinished(() => rig.close());
  upstreamId = (await rig.create("/upstreams", { name: "u" })).id;
  targetId = (await rig.create("/upstreams/u/targets", { target: "127.0.0.1:9001" })).id;
});

const none = {
  ...{ request_count: 0, answer_count: 0, client_error_count: 0, server_error_count: 0, loss_count: 0 },
  ...{ ejection_count: 0, requests_per_second: 0, errors_per_second: 0, error_ratio: 0 },
  ...{ latency_p50_ms: null, latency_p99_ms: null, in_flight: 0, ejections_last_minute: 0 },
};

describe("GET /upstreams/{u}/traffic", () => {
  it("has every figure, also where nothing was sent", async () => {
    const { status, json } = await rig.send("GET", "/upstreams/u/traffic");
    expect(status).toBe(200);
    const target = { id: targetId, target: "127.0.0.1:9001", weight: 100, health: "HEALTHCHECKS_OFF" };
    expect(json).toEqual({
      upstream: { id: upstreamId, name: "u" },
      health: "HEALTHCHECKS_OFF",
      figures: none,
      node_count: 0,
      targets: [{ ...target, figures: none, endpoints: [] }],
    });
  });

  it("adds up the nodes, and tells of each where that is asked for", async () => {
    const endpoint = { upstreamId, targetId, address: "127.0.0.1:9001" };
    for (const [nodeId, requestCount] of [
      ["n1", 40n],
      ["n2", 2n],
    ] as const) {
      rig.trafficViews.connected(nodeId, `host-of-${nodeId}`);
      const endpoints = [{ ...endpoint, requestCount, lossCount: 1n, latencyBuckets: [20], latencyCounts: [1] }];
      const report = { endpoints, look: 1n, interval: durationFromMs(2_000) };
      rig.trafficViews.take(nodeId, create(TrafficReportSchema, report));
    }
    const { json } = await rig.send("GET", "/upstreams/u/traffic?by_node=true");
    const figures = { request_count: 42, loss_count: 2, requests_per_second: 21, errors_per_second: 1 };
    const nodes = [
      { node_id: "n1", hostname: "host-of-n1", figures: { request_count: 40, requests_per_second: 20 } },
      { node_id: "n2", hostname: "host-of-n2", figures: { request_count: 2, requests_per_second: 1 } },
    ];
    expect(json).toMatchObject({
      ...{ node_count: 2, figures, nodes },
      targets: [{ figures, endpoints: [{ address: "127.0.0.1:9001", figures, nodes }] }],
    });
    expect(json.figures.latency_p99_ms).toBeGreaterThan(2.048);
    expect((await rig.send("GET", `/upstreams/${upstreamId}/traffic`)).json).not.toHaveProperty("nodes");
  });

  it("knows an upstream that is not there, and no other method", async () => {
    expect((await rig.send("GET", "/upstreams/x/traffic")).status).toBe(404);
    expect((await rig.send("POST", "/upstreams/u/traffic")).status).toBe(405);
  });
});
