import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  type EndpointHealthSchema,
  HealthState,
  UpstreamHealthSchema,
} from "../proto/gen/penstock/admin/v1/health_pb.ts";
import { healthTable, isUnhealthy } from "./health-table.ts";

const upstream = (targets: MessageInitShape<typeof UpstreamHealthSchema>["targets"]) =>
  create(UpstreamHealthSchema, { upstreamName: "u", ...(targets === undefined ? {} : { targets }) });

const out: MessageInitShape<typeof EndpointHealthSchema> = {
  address: "127.0.0.1:9001",
  state: HealthState.UNHEALTHY,
  reportingNodeCount: 2,
  views: [
    { nodeId: "b", source: "outlier", reason: "5 resets", since: timestampFromMs(1_717_000_001_000) },
    { nodeId: "a", source: "active", reason: `refused\n${"x".repeat(80)}`, since: timestampFromMs(1_717_000_000_000) },
  ],
};
const healthy = { address: "127.0.0.1:9002", state: HealthState.HEALTHY, healthyNodeCount: 2, reportingNodeCount: 2 };

describe("healthTable", () => {
  it("has a line per endpoint with what the first node to see it out says", () => {
    const table = healthTable([
      upstream([
        { target: "a.test:80", weight: 100, state: HealthState.HEALTHY, endpoints: [out, healthy] },
        { target: "b.test:80", weight: 0, state: HealthState.HEALTHCHECKS_OFF },
      ]),
      create(UpstreamHealthSchema, { upstreamName: "empty" }),
    ]);
    expect(table).toBe(
      [
        "UPSTREAM  TARGET                ENDPOINT        STATE       HEALTHY ON  SOURCE  REASON                                                        SINCE",
        `u         a.test:80             127.0.0.1:9001  unhealthy   0 of 2      active  refused ${"x".repeat(49)}...  2024-05-29T16:26:40.000Z`,
        "u         a.test:80             127.0.0.1:9002  healthy     2 of 2",
        "u         b.test:80 (weight 0)                  checks off  0 of 0",
        "empty     none",
        "",
      ].join("\n"),
    );
  });

  it("says why a name has no address", () => {
    const endpoint = {
      address: "",
      state: HealthState.DNS_ERROR,
      reportingNodeCount: 1,
      views: [{ dns: "ENOTFOUND" }],
    };
    const table = healthTable([upstream([{ target: "a.test:80", weight: 1, endpoints: [endpoint] }])]);
    expect(table).toMatch(/dns error +0 of 1 +ENOTFOUND/);
  });
});

describe("isUnhealthy", () => {
  it.each([
    { name: "an endpoint that is out everywhere", target: { weight: 1, endpoints: [out, healthy] }, want: true },
    { name: "a name without address", target: { weight: 1, state: HealthState.DNS_ERROR }, want: true },
    { name: "one that gets no requests", target: { weight: 0, endpoints: [out] }, want: false },
    { name: "healthy ones", target: { weight: 1, endpoints: [healthy] }, want: false },
    { name: "no reports", target: { weight: 1 }, want: false },
  ])("with $name is $want", ({ target, want }) => {
    expect(isUnhealthy(upstream([{ target: "a.test:80", ...target }]))).toBe(want);
  });
});
