import type { DescMessage } from "@bufbuild/protobuf";
import { CertificateSchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { Algorithm, UpstreamSchema, WeightBasis } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { StoredKind } from "./checked.ts";
import { valueAt } from "./message-fields.ts";

/** A part of the configuration that not every node's program acts on. */
export interface CapabilityRow {
  /** What a node says in its hello that acts on it. */
  readonly capability: string;
  /** In a few words. */
  readonly feature: string;
  readonly kind: StoredKind;
  /** Dotted path of the field; "" for the kind itself. */
  readonly path: string;
  /** Whether a value needs it. Default: any that is set, but for false. */
  readonly needs?: (value: unknown) => boolean;
}

const tls = { capability: "config.tls", feature: "certificates for clients of TLS" } as const;
const tiers = { capability: "config.tiers", feature: "tiers, zones and limits of targets", kind: "target" } as const;
const hashing = { capability: "config.hashing", feature: "consistent hashing" } as const;
const sticky = { capability: "config.sticky-sessions", feature: "sticky sessions" } as const;

/**
 * What a node's program has to be able to for a field to mean anything. A node ignores fields that it does not know, as
 * protobuf has it: without this table, nobody would learn that an old node serves something else than was written.
 * Whoever adds a field that nodes act on adds a row, and the capability to the node (data-plane/capabilities.ts).
 */
export const capabilityTable: readonly CapabilityRow[] = [
  { ...hashing, kind: "upstream", path: "algorithm", needs: (value) => value === Algorithm.CONSISTENT_HASHING },
  {
    capability: "config.latency",
    feature: "balancing by latency",
    kind: "upstream",
    path: "algorithm",
    needs: (value) => value === Algorithm.LATENCY,
  },
  { ...sticky, kind: "upstream", path: "algorithm", needs: (value) => value === Algorithm.STICKY_SESSIONS },
  {
    capability: "config.weight-basis",
    feature: "weights shared by a target's addresses",
    kind: "upstream",
    path: "weight_basis",
    needs: (value) => value === WeightBasis.PER_TARGET,
  },
  { capability: "config.resilience", feature: "resilience of upstreams", kind: "upstream", path: "resilience" },
  {
    capability: "config.balancing",
    feature: "failover, slow start, zones and limits of upstreams",
    kind: "upstream",
    path: "balancing",
  },
  { ...tiers, path: "failover" },
  { ...tiers, path: "priority" },
  { ...tiers, path: "zone" },
  { ...tiers, path: "max_in_flight" },
  { capability: "config.route-limits", feature: "limits of routes", kind: "route", path: "limits" },
  { capability: "config.route-retry", feature: "retries of routes", kind: "route", path: "retry" },
  { ...tls, kind: "certificate", path: "" },
  { ...tls, kind: "sni", path: "" },
  { ...tls, kind: "ca_certificate", path: "" },
  {
    capability: "config.client-authentication",
    feature: "certificates that clients have to show",
    kind: "certificate",
    path: "client_authentication",
  },
  {
    capability: "config.client-certificates",
    feature: "certificates shown to targets",
    kind: "service",
    path: "client_certificate",
  },
  {
    capability: "config.client-certificates",
    feature: "certificates shown to targets",
    kind: "upstream",
    path: "client_certificate",
  },
  {
    capability: "config.health-overrides",
    feature: "decisions of people on a target's health",
    kind: "health_override",
    path: "",
  },
];

/** The messages of the kinds whose fields the table names. */
export const tableSchemas: { readonly [K in StoredKind]?: DescMessage } = {
  upstream: UpstreamSchema,
  target: TargetSchema,
  route: RouteSchema,
  service: ServiceSchema,
  certificate: CertificateSchema,
};

const rowsByKind = Map.groupBy(capabilityTable, ({ kind }) => kind);

/** The rows that a resource needs; one for each capability. */
export function capabilitiesNeeded(kind: StoredKind, message: object): readonly CapabilityRow[] {
  const needed = new Map<string, CapabilityRow>();
  for (const row of rowsByKind.get(kind) ?? []) {
    const { capability, path, needs = isSet } = row;
    if (needed.has(capability)) continue;
    if (path === "" || needs(valueAt(tableSchemas[kind]!, message, path))) needed.set(capability, row);
  }
  return [...needed.values()];
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== false;
}
