import type { StoredKind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";

export interface DanglingReference {
  readonly kind: StoredKind;
  readonly id: string;
  readonly toKind: StoredKind;
  readonly toId: string;
}

/** What nodes get. What is referred to comes before what refers to it, so that a reader may link in one pass. */
export const SNAPSHOT_KINDS: readonly StoredKind[] = [
  "ca_certificate",
  "certificate",
  "sni",
  "upstream",
  "target",
  "health_override",
  "service",
  "route",
  "ticket_key",
];

/** The content of a snapshot in its stable order, by kind and id. @param all the resources of a kind */
export function inSnapshotOrder(all: (kind: StoredKind) => Iterable<StoredResource>): StoredResource[] {
  const ordered: StoredResource[] = [];
  for (const kind of SNAPSHOT_KINDS) for (const resource of [...all(kind)].sort(byId)) ordered.push(resource);
  return ordered;
}

/**
 * The references of resources that point to nothing in the image. The store keeps references whole, so one is a fault
 * of ours: it must reach no node.
 */
export function findDanglingReferences(
  resources: Iterable<StoredResource>,
  image: Pick<ResourceImage, "get">,
): DanglingReference[] {
  const found: DanglingReference[] = [];
  for (const resource of resources) {
    for (const reference of referencesOf(resource)) {
      if (image.get(reference.toKind, reference.toId) === undefined)
        found.push({ kind: resource.kind, id: resource.id, ...reference });
    }
  }
  return found;
}

function byId(left: StoredResource, right: StoredResource): number {
  if (left.id === right.id) return 0;
  return left.id < right.id ? -1 : 1;
}

export interface ReferenceTo {
  readonly toKind: StoredKind;
  readonly toId: string;
}

const none: readonly ReferenceTo[] = [];

/** What a resource refers to. A service names its host, too, which need not be an upstream. */
export function referencesOf(resource: StoredResource): readonly ReferenceTo[] {
  if (isOfKind(resource, "target")) return [{ toKind: "upstream", toId: resource.message.upstream?.id ?? "" }];
  if (isOfKind(resource, "health_override")) return [{ toKind: "target", toId: resource.message.target?.id ?? "" }];
  if (isOfKind(resource, "route")) return optional("service", resource.message.service);
  if (isOfKind(resource, "upstream")) return optional("certificate", resource.message.clientCertificate);
  if (isOfKind(resource, "sni")) return [{ toKind: "certificate", toId: resource.message.certificate?.id ?? "" }];
  if (isOfKind(resource, "certificate")) return authorities(resource.message.clientAuthentication?.caCertificates);
  if (!isOfKind(resource, "service")) return none;
  const { clientCertificate, caCertificates } = resource.message;
  return [...optional("certificate", clientCertificate), ...authorities(caCertificates)];
}

function optional(toKind: StoredKind, to: { readonly id: string } | undefined): readonly ReferenceTo[] {
  return to === undefined ? none : [{ toKind, toId: to.id }];
}

function authorities(ids: readonly string[] = []): readonly ReferenceTo[] {
  return ids.map((toId) => ({ toKind: "ca_certificate", toId }));
}

export function isOfKind<K extends StoredKind>(resource: StoredResource, kind: K): resource is StoredResource<K> {
  return resource.kind === kind;
}
