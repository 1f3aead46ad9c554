import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { Protocol, type Service, ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import type { Problem } from "./checked.ts";
import { readHostAddress } from "./host-address.ts";
import { checkNodeSelector } from "./node-selector.ts";
import { isOwnAddress, type OwnAddress, ownAddressMessage } from "./own-address.ts";
import { checkText, checkTexts, invalid } from "./problems.ts";
import { type CheckContext, distinct, nameKey, type ResourceRules } from "./resource-rules.ts";
import { checkHost, checkName, checkPath, checkTag } from "./text-rules.ts";

const oneMinute: Duration = create(DurationSchema, { seconds: 60n });

const defaults: Service = create(ServiceSchema, {
  protocol: Protocol.HTTP,
  port: 80,
  retries: 5,
  connectTimeout: oneMinute,
  writeTimeout: oneMinute,
  readTimeout: oneMinute,
  enabled: true,
});

const withoutPath: readonly Protocol[] = [Protocol.TCP, Protocol.TLS, Protocol.UDP, Protocol.GRPC, Protocol.GRPCS];
const withTlsSettings: readonly Protocol[] = [Protocol.HTTPS, Protocol.TLS];

function check(service: Service, { ownAddresses = [] }: CheckContext<Service>): readonly Problem[] {
  return [
    ...checkText("name", service.name, checkName),
    ...checkText("host", service.host, checkHost),
    ...checkText("path", service.path, checkPath),
    ...checkNodeSelector(service.nodeSelector),
    ...checkTexts("tags", service.tags, checkTag),
    ...checkTimeouts(service),
    ...checkProtocol(service),
    ...checkOwnAddress(service, ownAddresses),
  ];
}

function checkOwnAddress({ host, port = 0 }: Service, own: readonly OwnAddress[]): readonly Problem[] {
  const read = readHostAddress(host);
  return typeof read !== "string" && isOwnAddress(read, port, own) ? [invalid("host", ownAddressMessage)] : [];
}

/** The nodes count in milliseconds, so that a smaller part would be lost silently. */
function checkTimeouts(service: Service): readonly Problem[] {
  const timeouts: readonly [string, Duration | undefined][] = [
    ["connect_timeout", service.connectTimeout],
    ["write_timeout", service.writeTimeout],
    ["read_timeout", service.readTimeout],
  ];
  return timeouts
    .filter(([, timeout]) => timeout !== undefined && timeout.nanos % 1_000_000 !== 0)
    .map(([field]) => invalid(field, "expected whole milliseconds"));
}

/** Fields that must be null with some protocols. */
function checkProtocol(service: Service): readonly Problem[] {
  const { protocol } = service;
  if (protocol === undefined) return [];
  const notAllowed: string[] = [];
  if (withoutPath.includes(protocol) && service.path !== undefined) notAllowed.push("path");
  if (!withTlsSettings.includes(protocol)) {
    if (service.clientCertificate !== undefined) notAllowed.push("client_certificate");
    if (service.tlsVerify !== undefined) notAllowed.push("tls_verify");
    if (service.tlsVerifyDepth !== undefined) notAllowed.push("tls_verify_depth");
    if (service.caCertificates.length > 0) notAllowed.push("ca_certificates");
  }
  if (notAllowed.length === 0) return [];
  return [
    invalid("", "failed conditional validation given value of field 'protocol'"),
    ...notAllowed.map((field) => invalid(field, "value must be null")),
  ];
}

/** Rules of services. */
export const serviceRules: ResourceRules<"service"> = {
  kind: "service",
  collection: "services",
  schema: ServiceSchema,
  defaults,
  required: ["protocol", "host", "port", "enabled"],
  references: [
    { path: "client_certificate", toKind: "certificate", toCollection: "certificates" },
    { path: "ca_certificates", toKind: "ca_certificate", toCollection: "ca_certificates" },
  ],
  secrets: [],
  withImplied: (draft) => draft,
  normalize: (service) => ({ ...service, nodeSelector: distinct(service.nodeSelector), tags: distinct(service.tags) }),
  check,
  uniqueKeys: (service) => nameKey(service.name),
};
