import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ReferenceSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import { Protocol, type Service } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { checkResource } from "./check-resource.ts";
import { serviceRules } from "./service.ts";

const created = { nowMs: 0, stored: null };

const told = (fields: Partial<Service>) =>
  checkResource(serviceRules, { ...serviceRules.defaults, host: "h", ...fields }, created).map(
    ({ field, message }) => `${field}: ${message}`,
  );

const onProtocol = ": failed conditional validation given value of field 'protocol'";

describe("serviceRules", () => {
  it.each([
    { name: "the defaults with a host", fields: {}, want: [] },
    { name: "no host", fields: { host: "" }, want: ["host: required field missing"] },
    {
      name: "null in required fields",
      fields: { protocol: undefined, port: undefined, enabled: undefined },
      want: ["protocol: required field missing", "port: required field missing", "enabled: required field missing"],
    },
    { name: "null elsewhere", fields: { retries: undefined, connectTimeout: undefined }, want: [] },
    { name: "a path without slash", fields: { path: "no-slash" }, want: ["path: should start with: /"] },
    { name: "a host with port", fields: { host: "h:80" }, want: ["host: must not have a port"] },
    {
      name: "many things",
      fields: { retries: -1, path: "nopath", name: "bad name" },
      want: [
        "retries: value should be between 0 and 32767",
        "name: invalid value 'bad name': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
        "path: should start with: /",
      ],
    },
    {
      name: "a path over TCP",
      fields: { protocol: Protocol.TCP, path: "/" },
      want: [onProtocol, "path: value must be null"],
    },
    {
      name: "TLS settings over TLS",
      fields: { protocol: Protocol.HTTPS, tlsVerify: true, tlsVerifyDepth: 2 },
      want: [],
    },
    {
      name: "TLS settings without TLS",
      fields: {
        tlsVerify: true,
        tlsVerifyDepth: 2,
        caCertificates: ["aa9e6741-4171-42ed-9485-d9d6c5002642"],
        clientCertificate: create(ReferenceSchema, { id: "x" }),
      },
      want: [
        onProtocol,
        "client_certificate: value must be null",
        "tls_verify: value must be null",
        "tls_verify_depth: value must be null",
        "ca_certificates: value must be null",
      ],
    },
    {
      name: "a part of a millisecond",
      fields: { readTimeout: create(DurationSchema, { seconds: 1n, nanos: 500 }) },
      want: ["read_timeout: expected whole milliseconds"],
    },
  ])("says what is wrong with $name", ({ fields, want }) => {
    expect(told(fields)).toEqual(want);
  });

  it("has Kong's defaults", () => {
    expect(serviceRules.defaults).toMatchObject({
      protocol: Protocol.HTTP,
      port: 80,
      retries: 5,
      connectTimeout: { seconds: 60n, nanos: 0 },
      writeTimeout: { seconds: 60n },
      readTimeout: { seconds: 60n },
      enabled: true,
    });
    expect(serviceRules.defaults.path).toBeUndefined();
    expect(serviceRules.defaults.tlsVerify).toBeUndefined();
  });

  it("is unique by its name, where it has one", () => {
    expect(serviceRules.uniqueKeys({ ...serviceRules.defaults, name: "s" })).toEqual([
      { key: "name:s", field: "name", duplicateMessage: `UNIQUE violation detected on '{name="s"}'` },
    ]);
    expect(serviceRules.uniqueKeys(serviceRules.defaults)).toEqual([]);
  });
});
