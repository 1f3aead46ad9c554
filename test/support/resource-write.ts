import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ResourceWrite } from "../../control-plane/store/store.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";

/** What a write does, less what follows from its message; the defaults are those of an unconditional create. */
type WriteOptions = Partial<Pick<ResourceWrite, "operation" | "expectedRevision">>;

const unconditionalCreate = { operation: "create", expectedRevision: null } as const;

/** A write of an upstream, as admin/ would make it. */
export function upstreamWrite(
  message: MessageInitShape<typeof UpstreamSchema> & { id: string; name: string },
  options: WriteOptions = {},
): ResourceWrite {
  const body = toBinary(UpstreamSchema, create(UpstreamSchema, message));
  const { id, name } = message;
  return {
    ...unconditionalCreate,
    ...options,
    kind: "upstream",
    id,
    body,
    uniqueKeys: [`name:${name}`],
    references: [],
  };
}

/** A write of a target of an upstream. */
export function targetWrite(
  message: { id: string; target: string; upstreamId: string; weight?: number },
  options: WriteOptions = {},
): ResourceWrite {
  const { id, target, upstreamId, weight } = message;
  const encoded = create(TargetSchema, { id, target, upstream: { id: upstreamId }, ...(weight && { weight }) });
  return {
    ...unconditionalCreate,
    ...options,
    kind: "target",
    id,
    body: toBinary(TargetSchema, encoded),
    uniqueKeys: [`address:${upstreamId}:${target}`],
    references: [{ kind: "upstream", id: upstreamId }],
  };
}

/** A write of a service that may have a name. */
export function serviceWrite(
  message: { id: string; name?: string; host: string },
  options: WriteOptions = {},
): ResourceWrite {
  return {
    ...unconditionalCreate,
    ...options,
    kind: "service",
    id: message.id,
    body: toBinary(ServiceSchema, create(ServiceSchema, message)),
    uniqueKeys: message.name === undefined ? [] : [`name:${message.name}`],
    references: [],
  };
}

/** A write of a route to a service. */
export function routeWrite(
  message: { id: string; paths: string[]; serviceId: string },
  options: WriteOptions = {},
): ResourceWrite {
  const { id, paths, serviceId } = message;
  return {
    ...unconditionalCreate,
    ...options,
    kind: "route",
    id,
    body: toBinary(RouteSchema, create(RouteSchema, { id, paths, service: { id: serviceId } })),
    uniqueKeys: [],
    references: [{ kind: "service", id: serviceId }],
  };
}

/** A delete of any resource. */
export function deleteWrite(
  kind: ResourceWrite["kind"],
  id: string,
  expectedRevision: number | null = null,
): ResourceWrite {
  return { kind, id, operation: "delete", body: new Uint8Array(), expectedRevision, uniqueKeys: [], references: [] };
}
