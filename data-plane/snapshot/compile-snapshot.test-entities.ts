import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { ReceivedSnapshot, SnapshotEntity } from "./apply-snapshot.ts";

export const limits = { routesMax: 3, servicesMax: 3, upstreamsMax: 3, targetsMax: 3 };

export function upstream(init: MessageInitShape<typeof UpstreamSchema>): SnapshotEntity {
  return { kind: "upstream", id: init.id ?? "", body: toBinary(UpstreamSchema, create(UpstreamSchema, init)) };
}
export function target(init: MessageInitShape<typeof TargetSchema>): SnapshotEntity {
  return { kind: "target", id: init.id ?? "", body: toBinary(TargetSchema, create(TargetSchema, init)) };
}
export function service(init: MessageInitShape<typeof ServiceSchema>): SnapshotEntity {
  return { kind: "service", id: init.id ?? "", body: toBinary(ServiceSchema, create(ServiceSchema, init)) };
}
export function route(init: MessageInitShape<typeof RouteSchema>): SnapshotEntity {
  return { kind: "route", id: init.id ?? "", body: toBinary(RouteSchema, create(RouteSchema, init)) };
}

export function snapshot(entities: readonly SnapshotEntity[]): ReceivedSnapshot {
  return {
    epoch: { counter: 1, id: new Uint8Array(16) },
    publication: 7,
    revision: 5,
    stateHash: new Uint8Array(32),
    entities,
  };
}
