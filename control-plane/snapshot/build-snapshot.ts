import type { Kind } from "../resource/checked.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";

/** The content of a snapshot in its stable order, or the references in it that point to nothing. */
export type BuiltSnapshot =
  | { readonly ok: true; readonly entities: readonly StoredResource[] }
  | { readonly ok: false; readonly danglingReferences: readonly DanglingReference[] };

export interface DanglingReference {
  readonly kind: Kind;
  readonly id: string;
  readonly toKind: Kind;
  readonly toId: string;
}

/** What is referred to comes before what refers to it, so that a reader may link in one pass. */
const KIND_ORDER: readonly Kind[] = ["upstream", "target", "service", "route"];

/**
 * Lays out everything that a node needs, ordered by kind and id, and checks every reference once.
 * The store keeps references whole, so a dangling one is a fault of ours: it must reach no node.
 */
export function buildSnapshot(image: ResourceImage): BuiltSnapshot {
  const entities: StoredResource[] = [];
  const danglingReferences: DanglingReference[] = [];
  for (const kind of KIND_ORDER) {
    for (const resource of [...image.all(kind)].sort(byId)) {
      entities.push(resource);
      const reference = referenceOf(resource);
      if (reference !== null && image.get(reference.toKind, reference.toId) === undefined) {
        danglingReferences.push({ kind, id: resource.id, ...reference });
      }
    }
  }
  return danglingReferences.length === 0 ? { ok: true, entities } : { ok: false, danglingReferences };
}

function byId(left: StoredResource, right: StoredResource): number {
  if (left.id === right.id) return 0;
  return left.id < right.id ? -1 : 1;
}

/** A service names its host, which need not be an upstream; only targets and routes refer to a resource. */
function referenceOf(resource: StoredResource): { toKind: Kind; toId: string } | null {
  if (isOfKind(resource, "target")) return { toKind: "upstream", toId: resource.message.upstream?.id ?? "" };
  if (isOfKind(resource, "route") && resource.message.service !== undefined) {
    return { toKind: "service", toId: resource.message.service.id };
  }
  return null;
}

function isOfKind<K extends Kind>(resource: StoredResource, kind: K): resource is StoredResource<K> {
  return resource.kind === kind;
}
