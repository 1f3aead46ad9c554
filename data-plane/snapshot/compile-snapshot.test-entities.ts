import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  CaCertificateSchema,
  CertificateSchema,
  SniSchema,
  TicketKeySchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { ConfigDecoder } from "../config/encoded-config.ts";
import type { RouteConfig, ServiceConfig } from "../config/worker-config.ts";
import { CertificateCheck } from "../tls/certificate-check.ts";
import type { ReceivedSnapshot, SnapshotEntity } from "./apply-snapshot.ts";
import type { SnapshotPlan } from "./compile-snapshot.ts";

export const limits = {
  ...{ routesMax: 3, servicesMax: 3, upstreamsMax: 3, targetsMax: 4, targetsPerUpstreamMax: 3 },
  ...{ certificatesMax: 3, serverNamesMax: 30 },
};

export const trial: CertificateCheck = new CertificateCheck(100);

export function caCertificate(init: MessageInitShape<typeof CaCertificateSchema>): SnapshotEntity {
  const body = toBinary(CaCertificateSchema, create(CaCertificateSchema, init));
  return { kind: "ca_certificate", id: init.id ?? "", body };
}
export function certificate(init: MessageInitShape<typeof CertificateSchema>): SnapshotEntity {
  return { kind: "certificate", id: init.id ?? "", body: toBinary(CertificateSchema, create(CertificateSchema, init)) };
}
export function sni(init: MessageInitShape<typeof SniSchema>): SnapshotEntity {
  return { kind: "sni", id: init.id ?? "", body: toBinary(SniSchema, create(SniSchema, init)) };
}
export function ticketKey(init: MessageInitShape<typeof TicketKeySchema>): SnapshotEntity {
  return { kind: "ticket_key", id: init.id ?? "", body: toBinary(TicketKeySchema, create(TicketKeySchema, init)) };
}
export function upstream(init: MessageInitShape<typeof UpstreamSchema>): SnapshotEntity {
  return { kind: "upstream", id: init.id ?? "", body: toBinary(UpstreamSchema, create(UpstreamSchema, init)) };
}
export function target(init: MessageInitShape<typeof TargetSchema>): SnapshotEntity {
  return { kind: "target", id: init.id ?? "", body: toBinary(TargetSchema, create(TargetSchema, init)) };
}
export function healthOverride(init: MessageInitShape<typeof HealthOverrideSchema>): SnapshotEntity {
  const body = toBinary(HealthOverrideSchema, create(HealthOverrideSchema, init));
  return { kind: "health_override", id: init.id ?? "", body };
}
export function service(init: MessageInitShape<typeof ServiceSchema>): SnapshotEntity {
  return { kind: "service", id: init.id ?? "", body: toBinary(ServiceSchema, create(ServiceSchema, init)) };
}
export function route(init: MessageInitShape<typeof RouteSchema>): SnapshotEntity {
  return { kind: "route", id: init.id ?? "", body: toBinary(RouteSchema, create(RouteSchema, init)) };
}

/** A plan as workers come to know it, and its pools, each in the order of the slots. */
export function readPlan({ publication, revision, pools, content, tls, expiries, notes }: SnapshotPlan) {
  const decoder = new ConfigDecoder();
  const routes: RouteConfig[] = [];
  const services: ServiceConfig[] = [];
  for (const page of content.routes.pages) {
    for (const [, route] of decoder.page(page).routes!) routes.push(route!);
  }
  for (const page of content.services.pages) {
    for (const [, service] of decoder.page(page).services!) services.push(service!);
  }
  const placed = pools.toSorted((one, other) => one.slot - other.slot).map(({ plan }) => plan);
  return { publication, revision, pools: placed, routes, services, tls, expiries, notes };
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
