import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RouteSchema } from "../../../proto/gen/penstock/config/v1/route_pb.ts";
import { type Protocol, ServiceSchema } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { kongShapes } from "./kong-shape.ts";
import { printResource } from "./print-resource.ts";

const id = "11111111-1111-4111-8111-111111111111";

describe("printResource", () => {
  it("prints every field, null where there is none, and never the etag", () => {
    const printed = printResource("route", create(RouteSchema, { id, etag: "e" }));
    expect(Object.keys(printed)).toEqual([...kongShapes.route.fields.keys()]);
    expect(Object.keys(printed)).not.toContain("etag");
    expect(printed).toMatchObject({
      id,
      name: null,
      paths: null,
      headers: null,
      service: null,
      strip_path: null,
      created_at: null,
    });
  });

  it("prints times in seconds, those of targets with milliseconds", () => {
    const createdAt = timestampFromMs(1_717_000_000_123);
    expect(printResource("service", create(ServiceSchema, { createdAt }))["created_at"]).toBe(1_717_000_000);
    expect(printResource("target", create(TargetSchema, { createdAt }))["created_at"]).toBe(1_717_000_000.123);
  });

  it("prints the id of a reference and not its name", () => {
    const route = create(RouteSchema, { service: { id, name: "s" } });
    expect(printResource("route", route)["service"]).toEqual({ id });
  });

  it.each([
    { nanos: 0, seconds: 2n, want: { interval: 2 } },
    { nanos: 500_000_000, seconds: 0n, want: { interval: 1, interval_ms: 500 } },
    { nanos: 1, seconds: 0n, want: { interval: 1, interval_ms: 1 } },
  ])("prints an interval of $seconds s and $nanos ns as $want", ({ want, ...interval }) => {
    const upstream = create(UpstreamSchema, { healthchecks: { active: { unhealthy: { interval } } } });
    const { healthchecks } = printResource("upstream", upstream) as { healthchecks: { active: { unhealthy: object } } };
    const nulls = { http_statuses: null, tcp_failures: null, timeouts: null, http_failures: null };
    expect(healthchecks.active.unhealthy).toEqual({ ...nulls, ...want });
  });

  it("prints null for an enum value of a later version", () => {
    expect(printResource("service", create(ServiceSchema, { protocol: 99 as Protocol }))["protocol"]).toBeNull();
  });
});
