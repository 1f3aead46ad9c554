import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HealthState } from "../proto/gen/penstock/admin/v1/health_pb.ts";
import {
  type TrafficFiguresSchema,
  type UpstreamTraffic,
  UpstreamTrafficSchema,
} from "../proto/gen/penstock/admin/v1/traffic_pb.ts";
import { topTable } from "./top-table.ts";

type Figures = MessageInitShape<typeof TrafficFiguresSchema>;

const noFigures: Figures = {};
const upstream = (init: Exclude<MessageInitShape<typeof UpstreamTrafficSchema>, UpstreamTraffic>) =>
  create(UpstreamTrafficSchema, { state: HealthState.HEALTHY, figures: noFigures, ...init });

const busy: Figures = {
  ...{ requestCount: 12_345n, requestsPerSecond: 1234.5, errorsPerSecond: 12.345, errorRatio: 0.01 },
  ...{ latencyP50Ms: 1.234, latencyP99Ms: 56.78, inFlight: 7n, ejectionCount: 5n, ejectionsLastMinute: 2n },
};

/** The first words of the lines. */
const order = (...args: Parameters<typeof topTable>) => topTable(...args).map(({ text }) => text.trim().split(" ")[0]);

describe("topTable", () => {
  it("has a line for each upstream, endpoint and node", () => {
    const node = { nodeId: "0123456789", hostname: "host\u001b[2J", figures: busy };
    const table = topTable(
      [
        upstream({
          upstreamName: "u",
          figures: busy,
          targets: [
            {
              ...{ target: "a.test:80", weight: 100, state: HealthState.HEALTHY },
              endpoints: [{ address: "10.0.0.1:80", state: HealthState.UNHEALTHY, figures: busy, nodes: [node] }],
            },
            {
              ...{ target: "10.0.0.2:80", weight: 0, state: HealthState.HEALTHCHECKS_OFF },
              endpoints: [{ address: "10.0.0.2:80", state: HealthState.HEALTHY, figures: {} }],
            },
            { target: "b.test:80", weight: 1, state: HealthState.DNS_ERROR, figures: {} },
            { targetId: "t", endpoints: [{ address: "10.0.0.3:80", figures: { inFlight: 1n } }] },
          ],
        }),
      ],
      "name",
    );
    expect(table.map(({ text }) => text)).toEqual([
      "UPSTREAM                    STATE         REQ/S  ERR/S  ERR %  P50 MS  P99 MS  IN FLIGHT  EJECTIONS  REQUESTS",
      "u                           healthy        1235   12.3   1.00    1.23    56.8          7       +2 5     12345",
      "  (removed) 10.0.0.3:80     not reported      0      0      0       -       -          1          0         0",
      "  10.0.0.2:80 (weight 0)    healthy           0      0      0       -       -          0          0         0",
      "  a.test:80 10.0.0.1:80     unhealthy      1235   12.3   1.00    1.23    56.8          7       +2 5     12345",
      "    on host?[2J (01234567)                 1235   12.3   1.00    1.23    56.8          7       +2 5     12345",
      "  b.test:80                 dns error         0      0      0       -       -          0          0         0",
    ]);
    expect(table.map(({ kind }) => kind[0]).join("")).toBe("tueeene");
    expect(table.map(({ isUnhealthy }) => Number(isUnhealthy)).join("")).toBe("0000101");
  });

  it.each([
    { by: "name", want: ["UPSTREAM", "a", "b", "x", "y", "c"] },
    { by: "requests", want: ["UPSTREAM", "b", "y", "x", "a", "c"] },
    { by: "errors", want: ["UPSTREAM", "c", "a", "b", "x", "y"] },
    { by: "p99", want: ["UPSTREAM", "b", "x", "y", "a", "c"] },
    { by: "in-flight", want: ["UPSTREAM", "a", "b", "y", "x", "c"] },
  ] as const)("sorts by $by, and what is equal by name", ({ by, want }) => {
    const endpoints = [
      { address: "y", figures: { requestsPerSecond: 2, inFlight: 1n } },
      { address: "x", figures: { latencyP99Ms: 3 } },
    ];
    const upstreams = [
      upstream({ upstreamName: "c", figures: { errorsPerSecond: 1 } }),
      upstream({
        ...{ upstreamName: "b", figures: { requestsPerSecond: 3, latencyP99Ms: 1 } },
        targets: endpoints.map((endpoint) => ({ target: endpoint.address, weight: 1, endpoints: [endpoint] })),
      }),
      upstream({ upstreamName: "a", figures: { inFlight: 2n } }),
    ];
    expect(order(upstreams, by)).toEqual(want);
  });
});
