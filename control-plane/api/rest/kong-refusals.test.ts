import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectReply } from "../../../test/support/kong-expectations.ts";
import { type RestRig, startRestRig } from "../../../test/support/rest-rig.ts";

// What Kong 3.10 was seen to answer, asked of the whole way from the socket to the store and back.

let rig: RestRig;
let serviceId: string;
let upstreamId: string;

beforeAll(async () => {
  rig = await startRestRig();
  serviceId = (await rig.create("/services", "name=example_service&url=http%3A%2F%2Fhttpbun.com")).id;
  upstreamId = (await rig.create("/upstreams", "name=example_upstream")).id;
});
afterAll(() => rig.close());

const violation = (message: string, fields: object) => ({ code: 2, name: "schema violation", message, fields });

describe("Kong's refusals", () => {
  it.each<{ name: string; path: string; body: string | object | undefined; want: object; status?: number }>([
    {
      name: "a service without host",
      path: "/services",
      body: "name=x",
      want: violation("schema violation (host: required field missing)", { host: "required field missing" }),
    },
    {
      name: "a taken name",
      path: "/services",
      body: "name=example_service&host=h",
      status: 409,
      want: {
        code: 5,
        name: "unique constraint violation",
        message: "UNIQUE violation detected on '{name=\"example_service\"}'",
        fields: { name: "example_service" },
      },
    },
    {
      name: "a port out of range",
      path: "/services",
      body: { host: "h", port: 70_000 },
      want: violation("schema violation (port: value should be between 0 and 65535)", {
        port: "value should be between 0 and 65535",
      }),
    },
    {
      name: "a text for a port in a form",
      path: "/services",
      body: "host=h&port=abc",
      want: violation("schema violation (port: expected an integer)", { port: "expected an integer" }),
    },
    {
      name: "seven things at once",
      path: "/services",
      body: { host: 1, port: "x", protocol: "zz", retries: -1, path: "nopath", name: "bad name", bogus: 1 },
      want: violation(
        "7 schema violations (bogus: unknown field; host: expected a string; name: invalid value 'bad name': the only accepted ascii characters are alphanumerics or ., -, _, and ~; path: should start with: /; port: expected an integer; protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp; retries: value should be between 0 and 32767)",
        {
          bogus: "unknown field",
          host: "expected a string",
          name: "invalid value 'bad name': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
          path: "should start with: /",
          port: "expected an integer",
          protocol: "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
          retries: "value should be between 0 and 32767",
        },
      ),
    },
    {
      name: "a timeout of 0",
      path: "/services",
      body: { host: "h", connect_timeout: 0 },
      want: violation("schema violation (connect_timeout: value should be between 1 and 2147483646)", {
        connect_timeout: "value should be between 1 and 2147483646",
      }),
    },
    {
      name: "an empty name",
      path: "/services",
      body: { host: "h", name: "" },
      want: violation("schema violation (name: length must be at least 1)", { name: "length must be at least 1" }),
    },
    {
      name: "tags that are no list",
      path: "/services",
      body: { host: "h", tags: "x" },
      want: violation("schema violation (tags: expected a set)", { tags: "expected a set" }),
    },
    {
      name: "a comma in a tag",
      path: "/services",
      body: "name=s-form2&host=h.test&tags=p,q",
      want: violation(
        "schema violation (tags.1: invalid tag 'p,q': expected printable ascii (except `,` and `/`) or valid utf-8 sequences)",
        { tags: ["invalid tag 'p,q': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"] },
      ),
    },
    {
      name: "an id that is no uuid",
      path: "/services",
      body: { host: "h", id: "zzz" },
      want: violation("schema violation (id: expected a valid UUID)", { id: "expected a valid UUID" }),
    },
    {
      name: "a url of another protocol",
      path: "/services",
      body: "url=ftp%3A%2F%2Fh%2F",
      want: violation(
        "schema violation (protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp)",
        {
          protocol: "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
        },
      ),
    },
    {
      name: "a route that matches nothing",
      path: "/services/example_service/routes",
      body: { name: "r-none" },
      want: violation(
        "schema violation (must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https')",
        { "@entity": ["must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"] },
      ),
    },
    {
      name: "a method in lower case",
      path: "/services/example_service/routes",
      body: { methods: ["get"] },
      want: violation("schema violation (methods.1: invalid value: get)", { methods: ["invalid value: get"] }),
    },
    {
      name: "a status for redirects that is none",
      path: "/services/example_service/routes",
      body: { paths: ["/q"], https_redirect_status_code: 303 },
      want: violation("schema violation (https_redirect_status_code: expected one of: 426, 301, 302, 307, 308)", {
        https_redirect_status_code: "expected one of: 426, 301, 302, 307, 308",
      }),
    },
    {
      name: "a service name that is not there",
      path: "/routes",
      body: { paths: ["/q"], service: { name: "nope" } },
      want: {
        code: 13,
        name: "foreign keys unresolved",
        message:
          "foreign key unresolved (service.name: the foreign key cannot be resolved with '{name=\"nope\"}' for an existing 'services' entity)",
        fields: {
          service: {
            name: "the foreign key cannot be resolved with '{name=\"nope\"}' for an existing 'services' entity",
          },
        },
      },
    },
    {
      name: "a service id that is no uuid",
      path: "/routes",
      body: { paths: ["/q"], service: { id: "nope" } },
      want: violation("schema violation (service.id: expected a valid UUID)", {
        service: { id: "expected a valid UUID" },
      }),
    },
    {
      name: "a service id that is not there",
      path: "/routes",
      body: "paths=/q&service.id=99999999-9999-4999-8999-999999999999",
      want: {
        code: 4,
        name: "foreign key violation",
        message:
          "the foreign key '{id=\"99999999-9999-4999-8999-999999999999\"}' does not reference an existing 'services' entity.",
        fields: { service: { id: "99999999-9999-4999-8999-999999999999" } },
      },
    },
    {
      name: "snis without TLS",
      path: "/services/example_service/routes",
      body: { snis: ["a.test"], protocols: ["http"] },
      want: violation(
        "3 schema violations ('snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'; must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'; snis: length must be 0)",
        {
          snis: "length must be 0",
          "@entity": [
            "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'",
            "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'",
          ],
        },
      ),
    },
    {
      name: "an upstream without anything",
      path: "/upstreams",
      body: undefined,
      want: violation("schema violation (name: required field missing)", { name: "required field missing" }),
    },
    {
      name: "an upstream name with a port",
      path: "/upstreams",
      body: "name=a.test%3A80",
      want: violation("schema violation (name: Invalid name ('a.test:80'); no port allowed)", {
        name: "Invalid name ('a.test:80'); no port allowed",
      }),
    },
    {
      name: "an algorithm that there is not",
      path: "/upstreams",
      body: { name: "up-other", algorithm: "random" },
      // Kong 3.10 has the first four of them.
      want: violation(
        "schema violation (algorithm: expected one of: consistent-hashing, least-connections, round-robin, latency, sticky-sessions)",
        {
          algorithm: "expected one of: consistent-hashing, least-connections, round-robin, latency, sticky-sessions",
        },
      ),
    },
    {
      name: "sticky sessions without the name of a cookie",
      path: "/upstreams",
      body: { name: "up-sticky", algorithm: "sticky-sessions" },
      want: violation(
        "2 schema violations (failed conditional validation given value of field 'algorithm'; sticky_sessions_cookie: required field missing)",
        {
          sticky_sessions_cookie: "required field missing",
          "@entity": ["failed conditional validation given value of field 'algorithm'"],
        },
      ),
    },
    {
      name: "hashing by a header that is not named",
      path: "/upstreams",
      body: { name: "u1", hash_on: "header" },
      want: violation(
        "2 schema violations (failed conditional validation given value of field 'hash_on'; hash_on_header: required field missing)",
        {
          hash_on_header: "required field missing",
          "@entity": ["failed conditional validation given value of field 'hash_on'"],
        },
      ),
    },
    {
      // Kong prints a table of its own language into this message.
      name: "statuses out of range",
      path: "/upstreams",
      body: { name: "u1", healthchecks: { active: { healthy: { http_statuses: [99, 1000] } } } },
      want: violation(
        "2 schema violations (healthchecks.active.healthy.http_statuses.1: value should be between 100 and 999; healthchecks.active.healthy.http_statuses.2: value should be between 100 and 999)",
        {
          healthchecks: {
            active: {
              healthy: {
                http_statuses: ["value should be between 100 and 999", "value should be between 100 and 999"],
              },
            },
          },
        },
      ),
    },
    {
      name: "a target that is a url",
      path: "/upstreams/example_upstream/targets",
      body: "target=http%3A%2F%2Fa.test%3A80",
      want: violation("schema violation (target: Invalid target; not a valid hostname or ip address)", {
        target: "Invalid target; not a valid hostname or ip address",
      }),
    },
    {
      name: "a weight out of range",
      path: "/upstreams/example_upstream/targets",
      body: { target: "a.test:80", weight: 65_536 },
      want: violation("schema violation (weight: value should be between 0 and 65535)", {
        weight: "value should be between 0 and 65535",
      }),
    },
  ])("refuses $name", async ({ path, body, want, status }) => {
    const { revision } = rig.store.image;
    expectReply(await rig.send("POST", path, body), status ?? 400, want);
    expect(rig.store.image.revision).toBe(revision);
  });

  it("refuses a taken address, in whatever form it is written", async () => {
    await rig.create("/upstreams/example_upstream/targets", "target=[::2]:80");
    const reply = await rig.send("POST", "/upstreams/example_upstream/targets", { target: "[0::2]:80", weight: 5 });
    const target = "[0000:0000:0000:0000:0000:0000:0000:0002]:80";
    expectReply(reply, 409, {
      code: 5,
      name: "unique constraint violation",
      message: `UNIQUE violation detected on '{target="${target}",upstream={id="${upstreamId}"}}'`,
      fields: { target, upstream: { id: upstreamId } },
    });
  });

  it("refuses a taken id", async () => {
    const reply = await rig.send("POST", "/services", { id: serviceId, host: "h" });
    expectReply(reply, 400, {
      code: 3,
      name: "primary key violation",
      message: `primary key violation on key '{id="${serviceId}"}'`,
      fields: { id: serviceId },
    });
  });

  it.each([{ "": 1 }, { "service.id": 1, service: 5 }, { "a.b.c": 1 }])("refuses the odd keys of %o", async (body) => {
    const reply = await rig.send("POST", "/routes", { paths: ["/odd"], ...body });
    expect(reply.status).toBe(400);
    expect(reply.json.message).toContain("unknown field");
  });

  it("tells a list with a wrong item without what follows from it", async () => {
    const reply = await rig.send("POST", "/routes", { paths: [5], protocols: ["zz"] });
    expect(reply.json.message).toMatch(
      /^2 schema violations \(paths\.1: expected a string; protocols\.1: expected one of: /,
    );
  });
});
