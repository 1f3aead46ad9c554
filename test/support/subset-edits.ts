import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { StoredKind } from "../../control-plane/resource/checked.ts";
import type { MessageOf } from "../../control-plane/resource/draft.ts";
import { referencesOf } from "../../control-plane/snapshot/build-snapshot.ts";
import type { StoredResource } from "../../control-plane/store/resource-image.ts";
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

/** A resource as it stands in an image. */
export function resourceOf<K extends StoredKind>(
  kind: K,
  message: { readonly id: string; readonly [field: string]: unknown },
): StoredResource {
  const schema = schemas[kind as keyof typeof schemas] as DescMessage;
  const made = create(schema, message as never) as MessageShape<DescMessage> & { id: string };
  return { kind, id: made.id, revision: 1, body: toBinary(schema, made), message: made as MessageOf[K] };
}

const schemas = {
  upstream: UpstreamSchema,
  target: TargetSchema,
  service: ServiceSchema,
  route: RouteSchema,
  certificate: CertificateSchema,
  sni: SniSchema,
  ca_certificate: CaCertificateSchema,
  ticket_key: TicketKeySchema,
  health_override: HealthOverrideSchema,
};

const selectors = [
  ...[[], [], [], ["zone=eu"], ["zone=us"], ["zone"], ["!zone"], ["zone=eu", "zone=us"], ["tier=edge"]],
  ["zone=eu", "tier=edge"],
];
const hosts = [[], ["a.test"], ["a.test:8443", "B.test"], ["*.test"], ["c.*"], ["x.c.test"]];
const serverNames = ["a.test", "*.test", "b.test", "c.*", "*", "other.example"];

/** 0 <= random() < 1. */
export type Random = () => number;

/** A resource that might be written, with every reference to what is there. */
export function anyResource(random: Random, resources: ReadonlyMap<string, StoredResource>): StoredResource | null {
  const oneOf = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const maybe = <T>(value: T | undefined) => (random() < 0.4 ? value : undefined);
  const idOf = (kind: StoredKind): string | undefined => {
    const ids = [...resources.values()].filter((resource) => resource.kind === kind).map(({ id }) => id);
    return ids.length === 0 ? undefined : oneOf(ids);
  };
  const reference = (kind: StoredKind) => {
    const id = idOf(kind);
    return id === undefined ? undefined : { id };
  };
  const id = String(Math.floor(random() * 5));
  const nodeSelector = oneOf(selectors);
  const authorities = () => [maybe(idOf("ca_certificate"))].filter((one) => one !== undefined);
  const kind = oneOf(Object.keys(schemas) as (keyof typeof schemas)[]);
  if (kind === "upstream") {
    // Names are unique, and each upstream has two of its own.
    const name = `${oneOf(["u", "v"])}${id}`;
    return resourceOf(kind, {
      id,
      name,
      nodeSelector,
      ...defined("clientCertificate", maybe(reference("certificate"))),
    });
  }
  if (kind === "service") {
    const host = oneOf(["u0", "v0", "u1", "v1", "u2", "u3", "elsewhere.test"]);
    const shown = defined("clientCertificate", maybe(reference("certificate")));
    return resourceOf(kind, { id, host, nodeSelector, caCertificates: authorities(), ...shown });
  }
  if (kind === "route") {
    const snis = random() < 0.2 ? [oneOf(serverNames)] : [];
    const service = defined("service", random() < 0.9 ? reference("service") : undefined);
    return resourceOf(kind, { id, hosts: oneOf(hosts), snis, nodeSelector, ...service });
  }
  if (kind === "certificate") {
    const caCertificates = authorities();
    const asked = caCertificates.length === 0 ? {} : { clientAuthentication: { caCertificates } };
    return resourceOf(kind, { id, cert: `c${random()}`, key: "k", ...asked });
  }
  if (kind === "sni") {
    const certificate = reference("certificate");
    const at = Math.floor(random() * serverNames.length);
    return certificate === undefined ? null : resourceOf(kind, { id: String(at), name: serverNames[at]!, certificate });
  }
  if (kind === "target") return owned("target", id, "upstream", reference("upstream"));
  if (kind === "health_override") return owned("health_override", id, "target", reference("target"));
  return resourceOf(kind, { id });
}

/** One that may go: nothing refers to it. */
export function anyUnreferenced(random: Random, resources: ReadonlyMap<string, StoredResource>): StoredResource | null {
  const needed = new Set<string>();
  for (const resource of resources.values())
    for (const { toKind, toId } of referencesOf(resource)) needed.add(`${toKind}/${toId}`);
  const free = [...resources.values()].filter(({ kind, id }) => !needed.has(`${kind}/${id}`));
  return free[Math.floor(random() * free.length)] ?? null;
}

function owned(kind: StoredKind, id: string, field: string, owner: { id: string } | undefined): StoredResource | null {
  return owner === undefined ? null : resourceOf(kind, { id, [field]: owner });
}

function defined<T>(field: string, value: T | undefined): Record<string, T> {
  return value === undefined ? {} : { [field]: value };
}
