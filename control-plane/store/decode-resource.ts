import { fromBinary } from "@bufbuild/protobuf";
import {
  CaCertificateSchema,
  CertificateSchema,
  SniSchema,
  TicketKeySchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import {
  JoinTokenSchema,
  NodeAuthoritySchema,
  NodeIdentitySchema,
} from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import { QuarantineSchema } from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import {
  RolloutOrderSchema,
  RolloutPolicySchema,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { MessageOf } from "../resource/draft.ts";

const decoders: { readonly [K in StoredKind]: (body: Uint8Array) => MessageOf[K] } = {
  upstream: (body) => fromBinary(UpstreamSchema, body),
  target: (body) => fromBinary(TargetSchema, body),
  service: (body) => fromBinary(ServiceSchema, body),
  route: (body) => fromBinary(RouteSchema, body),
  certificate: (body) => fromBinary(CertificateSchema, body),
  sni: (body) => fromBinary(SniSchema, body),
  ca_certificate: (body) => fromBinary(CaCertificateSchema, body),
  ticket_key: (body) => fromBinary(TicketKeySchema, body),
  health_override: (body) => fromBinary(HealthOverrideSchema, body),
  quarantine: (body) => fromBinary(QuarantineSchema, body),
  node_authority: (body) => fromBinary(NodeAuthoritySchema, body),
  join_token: (body) => fromBinary(JoinTokenSchema, body),
  node_identity: (body) => fromBinary(NodeIdentitySchema, body),
  rollout: (body) => fromBinary(RolloutSchema, body),
  rollout_policy: (body) => fromBinary(RolloutPolicySchema, body),
  rollout_order: (body) => fromBinary(RolloutOrderSchema, body),
};

/**
 * The message in a stored body.
 * Errors: throws for a kind that this version does not know and for bytes that are no such message; no client can
 * cause either, since the writer of a body encoded it from a message.
 */
export function decodeResource<K extends StoredKind>(kind: K, body: Uint8Array): MessageOf[K] {
  if (!Object.hasOwn(decoders, kind)) throw new TypeError(`unknown kind of resource: ${kind}`);
  return decoders[kind](body);
}
