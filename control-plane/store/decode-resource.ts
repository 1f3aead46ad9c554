import { fromBinary } from "@bufbuild/protobuf";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";

const decoders: { readonly [K in Kind]: (body: Uint8Array) => ResourceOf[K] } = {
  upstream: (body) => fromBinary(UpstreamSchema, body),
  target: (body) => fromBinary(TargetSchema, body),
  service: (body) => fromBinary(ServiceSchema, body),
  route: (body) => fromBinary(RouteSchema, body),
};

/**
 * The message in a stored body.
 * Errors: throws for a kind that this version does not know and for bytes that are no such message; no client can
 * cause either, since the writer of a body encoded it from a message.
 */
export function decodeResource<K extends Kind>(kind: K, body: Uint8Array): ResourceOf[K] {
  if (!Object.hasOwn(decoders, kind)) throw new TypeError(`unknown kind of resource: ${kind}`);
  return decoders[kind](body);
}
