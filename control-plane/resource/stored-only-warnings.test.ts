import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { PathHandling, RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol, ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { Algorithm, HashInput, UpstreamSchema, WeightBasis } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Kind } from "./checked.ts";
import { leafFields } from "./message-fields.ts";
import { rulesOfKind } from "./rules-of-kind.ts";
import { serviceRules } from "./service.ts";
import { storedOnlyWarnings } from "./stored-only-warnings.ts";

function warned(kind: Kind, message: Message, paths: readonly string[]): string[] {
  const { schema, defaults } = rulesOfKind[kind];
  return storedOnlyWarnings(kind, schema as DescMessage, { message, paths }, defaults).map(({ field }) => field);
}

describe("storedOnlyWarnings", () => {
  it.each([
    { kind: "upstream", field: "hash_on", message: create(UpstreamSchema, { hashOn: HashInput.CONSUMER }) },
    { kind: "upstream", field: "hash_fallback", message: create(UpstreamSchema, { hashFallback: HashInput.CONSUMER }) },
    { kind: "service", field: "protocol", message: create(ServiceSchema, { protocol: Protocol.GRPC }) },
    { kind: "route", field: "protocols", message: create(RouteSchema, { protocols: [Protocol.GRPC] }) },
    { kind: "route", field: "path_handling", message: create(RouteSchema, { pathHandling: PathHandling.V1 }) },
    { kind: "route", field: "request_buffering", message: create(RouteSchema, { requestBuffering: false }) },
  ] as const)("warns of $field of a $kind", ({ kind, field, message }) => {
    expect(warned(kind, message, [field])).toEqual([field]);
  });

  it.each(Object.keys(rulesOfKind) as Kind[])("is silent about every default of a %s", (kind) => {
    const { schema, defaults } = rulesOfKind[kind];
    const paths = leafFields(schema as DescMessage).map(({ path }) => path);
    expect(warned(kind, defaults, paths)).toEqual([]);
  });

  it("is silent about null, about http alone, and about what the write does not set", () => {
    expect(warned("upstream", create(UpstreamSchema), ["slots", "hash_on", "algorithm"])).toEqual([]);
    const hashing = create(UpstreamSchema, { hashOn: HashInput.IP, algorithm: Algorithm.LATENCY, slots: 100 });
    expect(warned("upstream", hashing, ["slots", "hash_on", "algorithm"])).toEqual([]);
    expect(warned("route", create(RouteSchema, { protocols: [Protocol.HTTP] }), ["protocols"])).toEqual([]);
    expect(warned("upstream", create(UpstreamSchema, { hashOn: HashInput.CONSUMER }), ["name"])).toEqual([]);
  });

  it("is silent about TLS, at both ends", () => {
    const service = create(ServiceSchema, { protocol: Protocol.HTTPS, tlsVerify: false, tlsVerifyDepth: 2 });
    expect(warned("service", service, ["protocol", "tls_verify", "tls_verify_depth"])).toEqual([]);
    const route = create(RouteSchema, { protocols: [Protocol.HTTPS], snis: ["a.test"], httpsRedirectStatusCode: 301 });
    expect(warned("route", route, ["protocols", "snis", "https_redirect_status_code"])).toEqual([]);
  });

  it("is silent about health checks and resilience", () => {
    const message = create(UpstreamSchema, {
      healthchecks: { threshold: 50, active: { healthy: { interval: { seconds: 5n } } } },
      resilience: { retry: { enabled: false }, probe: { port: 81 } },
      weightBasis: WeightBasis.PER_TARGET,
    });
    expect(warned("upstream", message, ["healthchecks", "resilience", "weight_basis"])).toEqual([]);
  });

  it("says why", () => {
    const message = create(ServiceSchema, { protocol: Protocol.GRPCS });
    expect(
      storedOnlyWarnings("service", ServiceSchema, { message, paths: ["protocol"] }, serviceRules.defaults),
    ).toEqual([
      {
        field: "protocol",
        message: 'grpcs is not built yet: requests are answered with 503 "protocol not supported yet"',
      },
    ]);
  });
});
