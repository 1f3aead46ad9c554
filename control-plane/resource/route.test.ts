import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HeaderValuesSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import { PathHandling, PeerSchema, type Route, RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { checkResource } from "./check-resource.ts";
import { routeRules } from "./route.ts";

const created = { nowMs: 0, stored: null };

const { HTTP, HTTPS, TCP, TLS, GRPC, GRPCS, TLS_PASSTHROUGH } = Protocol;

const told = (fields: Partial<Route>) =>
  checkResource(routeRules, { ...routeRules.defaults, ...fields }, created).map(
    ({ field, message }) => `${field}: ${message}`,
  );

const headers = (map: Record<string, string[]>): Route["headers"] =>
  Object.fromEntries(Object.entries(map).map(([name, values]) => [name, create(HeaderValuesSchema, { values })]));

const paths = ["/p"];
const needsForHttps = ": must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'";
const needsForHttp = ": must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'";
const streams = "'tcp', 'tls', 'tls_passthrough' or 'udp'";

describe("routeRules", () => {
  it.each([
    { name: "a path", fields: { paths }, want: [] },
    { name: "nothing to match by", fields: {}, want: [needsForHttps] },
    { name: "nothing to match by over http", fields: { protocols: [HTTP] }, want: [needsForHttp] },
    {
      name: "server names without TLS",
      fields: { protocols: [HTTP], snis: ["a.test"] },
      want: [
        ": 'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'",
        "snis: length must be 0",
        needsForHttp,
      ],
    },
    { name: "server names with TLS", fields: { protocols: [HTTPS], snis: ["*.a.test"] }, want: [] },
    {
      name: "protocols that do not go together",
      fields: { paths, protocols: [HTTP, TCP] },
      want: ["protocols: these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp')"],
    },
    { name: "no protocol", fields: { paths, protocols: [] }, want: ["protocols: required field missing"] },
    { name: "a method in lower case", fields: { methods: ["GET", "get"] }, want: ["methods.1: invalid value: get"] },
    {
      name: "a path without slash",
      fields: { paths: ["p"] },
      want: ["paths.0: should start with: / (fixed path) or ~/ (regex path)"],
    },
    {
      name: "the host header",
      fields: { headers: headers({ Host: ["x"] }) },
      want: ["headers: cannot contain 'host' header, which must be specified in the 'hosts' attribute"],
    },
    {
      name: "broken values of headers",
      fields: { headers: headers({ "x-a": ["ok", "~*("], "x-b": [] }) },
      want: [
        "headers.x-a.1: invalid regex: '(' (error parsing regexp: missing closing ): `(`)",
        "headers.x-b: length must be at least 1",
      ],
    },
    {
      name: "more values of a header than anyone needs",
      fields: { headers: headers({ "x-a": new Array(1001).fill("1") }) },
      want: ["headers.x-a: length must be at most 1000"],
    },
    {
      name: "regular expressions that are too long to be read",
      fields: { paths: [`~/${"\\p{".repeat(5000)}`], headers: headers({ "x-a": [`~*${"(".repeat(10_000)}`] }) },
      want: ["paths.0: length must be at most 8192", "headers.x-a.0: length must be at most 8192"],
    },
    {
      name: "small regular expressions that grow too large together",
      fields: { paths: new Array(150).fill("~/a{1000}"), headers: headers({ "x-a": new Array(60).fill("~*b{1000}") }) },
      want: [": regular expressions are too large: 210480 steps with their repeats written out, at most 200000"],
    },
    {
      name: "client addresses over http",
      fields: { paths, sources: [create(PeerSchema, { ip: "10.0.0.0/8" })] },
      want: ["sources: cannot set 'sources' when 'protocols' is 'http' or 'https'"],
    },
    {
      name: "paths over tcp",
      fields: { protocols: [TCP], paths },
      want: [
        `paths: cannot set 'paths' when 'protocols' is ${streams}`,
        ": must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'",
      ],
    },
    {
      name: "addresses over tcp",
      fields: { protocols: [TCP, TLS], sources: [create(PeerSchema, { port: 1 })] },
      want: [],
    },
    {
      name: "addresses that are none",
      fields: {
        protocols: [TCP],
        sources: [create(PeerSchema), create(PeerSchema, { ip: "x" }), create(PeerSchema, { ip: "::/129" })],
        destinations: [create(PeerSchema, { ip: "10.1.2.3" }), create(PeerSchema, { ip: "fe80::/10", port: 70_000 })],
      },
      want: [
        "destinations.1.port: value should be between 0 and 65535",
        "sources.0: at least one of these fields must be non-empty: 'ip', 'port'",
        "sources.1.ip: invalid ip or cidr range: 'x'",
        "sources.2.ip: invalid ip or cidr range: '::/129'",
      ],
    },
    {
      name: "TLS passed on without server name",
      fields: { protocols: [TLS_PASSTHROUGH] },
      want: [": must set snis when 'protocols' is 'tls_passthrough'"],
    },
    {
      name: "gRPC as if it were http",
      fields: { protocols: [GRPC], methods: ["GET"], stripPath: true },
      want: [
        "methods: cannot set 'methods' when 'protocols' is 'grpc' or 'grpcs'",
        "strip_path: cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'",
        ": must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'grpc'",
      ],
    },
    { name: "gRPC by path", fields: { protocols: [GRPC, GRPCS], paths, stripPath: false }, want: [] },
    {
      name: "null in required fields",
      fields: { paths, stripPath: undefined, preserveHost: undefined },
      want: ["strip_path: required field missing", "preserve_host: required field missing"],
    },
  ])("says what is wrong with $name", ({ fields, want }) => {
    expect(told(fields)).toEqual(want);
  });

  it("has Kong's defaults", () => {
    expect(routeRules.defaults).toMatchObject({
      protocols: [HTTP, HTTPS],
      regexPriority: 0,
      stripPath: true,
      pathHandling: PathHandling.V0,
      preserveHost: false,
      httpsRedirectStatusCode: 426,
      requestBuffering: true,
      responseBuffering: true,
    });
  });

  it("keeps the path of a new gRPC route, unless it says otherwise", () => {
    const grpc = { message: create(RouteSchema, { protocols: [GRPC] }), paths: ["protocols"] };
    expect(routeRules.withImplied(grpc, null)).toMatchObject({
      message: { stripPath: false },
      paths: ["protocols", "strip_path"],
    });
    const said = {
      message: create(RouteSchema, { protocols: [GRPC], stripPath: true }),
      paths: ["protocols", "strip_path"],
    };
    expect(routeRules.withImplied(said, null)).toBe(said);
    expect(routeRules.withImplied(grpc, routeRules.defaults)).toBe(grpc);
  });

  it("takes names of JavaScript's own as any other", () => {
    const own = ["__proto__", "constructor", "hasOwnProperty"];
    const map = Object.fromEntries(own.map((name) => [name, create(HeaderValuesSchema, { values: [name] })]));
    expect(Object.keys(map)).toEqual(own);
    for (const name of own) expect(told({ name, tags: own, headers: map })).toEqual([]);
  });
});
