import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ServiceSchema } from "../../../proto/gen/penstock/config/v1/service_pb.ts";
import { UpstreamSchema } from "../../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { maskedPaths, presentPaths } from "./draft-paths.ts";

describe("presentPaths", () => {
  it("names the leaves that are set, nested ones by their whole path", () => {
    const upstream = create(UpstreamSchema, {
      name: "u1",
      slots: 0,
      tags: ["a"],
      clientCertificate: { id: "c1" },
      healthchecks: { active: { timeout: { seconds: 1n }, healthy: { successes: 0 } }, passive: {} },
    });
    expect(presentPaths(UpstreamSchema, upstream)).toEqual([
      "name",
      "slots",
      "client_certificate",
      "healthchecks.active.timeout",
      "healthchecks.active.healthy.successes",
      "tags",
    ]);
  });

  it("keeps an optional text that is empty, so that its rule can refuse it", () => {
    expect(presentPaths(ServiceSchema, create(ServiceSchema, { name: "" }))).toEqual(["name"]);
  });

  it("leaves out what the server sets", () => {
    const service = create(ServiceSchema, { host: "h", etag: "e", createdAt: { seconds: 1n }, updatedAt: {} });
    expect(presentPaths(ServiceSchema, service)).toEqual(["host"]);
  });
});

describe("maskedPaths", () => {
  it.each([
    { name: "takes a leaf as it is", mask: ["host", "connect_timeout"], want: ["host", "connect_timeout"] },
    {
      name: "takes a reference, a list and a map as leaves",
      mask: ["client_certificate", "tags"],
      want: ["client_certificate", "tags"],
    },
    { name: "names each leaf once", mask: ["host", "host"], want: ["host"] },
    { name: "ignores what the server sets", mask: ["etag", "created_at", "port"], want: ["port"] },
  ])("$name", ({ mask, want }) => {
    expect(maskedPaths(ServiceSchema, mask)).toEqual({ paths: want, problem: null });
  });

  it("expands a record to everything in it", () => {
    expect(maskedPaths(UpstreamSchema, ["healthchecks.active.healthy", "healthchecks.threshold"])).toEqual({
      paths: [
        "healthchecks.active.healthy.interval",
        "healthchecks.active.healthy.http_statuses",
        "healthchecks.active.healthy.successes",
        "healthchecks.threshold",
      ],
      problem: null,
    });
  });

  it("expands * to every leaf that a client may set", () => {
    const { paths } = maskedPaths(ServiceSchema, ["*"]);
    expect(paths).toContain("tls_verify_depth");
    expect(paths).not.toContain("updated_at");
  });

  it.each([
    ["nope"],
    ["connect_timeout.seconds"],
    ["tags.0"],
    ["client_certificate.id"],
    [""],
    ["host."],
    ["__proto__"],
    ["connectTimeout"],
  ])("finds no field for %j", (path) => {
    expect(maskedPaths(ServiceSchema, ["host", path, "zzz"])).toEqual({
      paths: ["host"],
      problem: {
        code: "invalid",
        field: "update_mask",
        message: `names fields that do not exist: ${JSON.stringify(path)}, "zzz"`,
      },
    });
  });
});
