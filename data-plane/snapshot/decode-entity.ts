import { fromBinary } from "@bufbuild/protobuf";
import {
  type CaCertificate,
  CaCertificateSchema,
  type Certificate,
  CertificateSchema,
  type Sni,
  SniSchema,
  type TicketKey,
  TicketKeySchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { type HealthOverride, HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { type Route, RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { type Service, ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { type Target, TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { type Upstream, UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";

/** The kinds that a node knows, by their names, with their messages. */
export interface MessageOf {
  ca_certificate: CaCertificate;
  certificate: Certificate;
  sni: Sni;
  ticket_key: TicketKey;
  upstream: Upstream;
  target: Target;
  health_override: HealthOverride;
  service: Service;
  route: Route;
}
export type KnownKind = keyof MessageOf;

const decoders: { readonly [K in KnownKind]: (body: Uint8Array) => MessageOf[K] } = {
  ca_certificate: (body) => fromBinary(CaCertificateSchema, body),
  certificate: (body) => fromBinary(CertificateSchema, body),
  sni: (body) => fromBinary(SniSchema, body),
  ticket_key: (body) => fromBinary(TicketKeySchema, body),
  upstream: (body) => fromBinary(UpstreamSchema, body),
  target: (body) => fromBinary(TargetSchema, body),
  health_override: (body) => fromBinary(HealthOverrideSchema, body),
  service: (body) => fromBinary(ServiceSchema, body),
  route: (body) => fromBinary(RouteSchema, body),
};

/** In the order of their references: what an entity refers to is of a kind before its own. */
export const knownKinds = Object.keys(decoders) as readonly KnownKind[];

export function isKnownKind(kind: string): kind is KnownKind {
  return Object.hasOwn(decoders, kind);
}

export function decodeEntity<K extends KnownKind>(kind: K, id: string, body: Uint8Array): Compiled<MessageOf[K]> {
  let message: MessageOf[K];
  try {
    message = decoders[kind](body);
  } catch (cause) {
    const problem = `cannot be decoded: ${(cause as Error).message}`;
    return { ok: false, problem: { reason: "undecodable_entity", field: "", message: problem } };
  }
  return message.id === id ? compiled(message) : invalid("id", `differs from the one in the body, ${message.id}`);
}

/** What people call it; "" where they call it nothing. */
export function nameOf<K extends KnownKind>(kind: K, message: MessageOf[K]): string {
  if (kind === "target") return (message as Target).target;
  return "name" in message ? (message.name ?? "") : "";
}
