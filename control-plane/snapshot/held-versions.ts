import { hash } from "node:crypto";
import type { HeldEntity } from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import type { StoredKind } from "../resource/checked.ts";
import { decodeResource } from "../store/decode-resource.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";

/** A resource of which nodes get another version than the stored one. */
export interface HeldVersion {
  readonly quarantine: StoredResource<"quarantine">;
  readonly entity: HeldEntity;
  /** What nodes get; null: nothing. */
  readonly good: StoredResource | null;
}

/** As held versions are found. */
export function nameOfResource({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind}/${id}`;
}

/** The quarantines that are in force, oldest first: something that was refused is still what is stored. */
export function quarantinesInForce(image: Pick<ResourceImage, "all" | "get">): StoredResource<"quarantine">[] {
  const inForce = [...image.all("quarantine")].filter(({ message }) =>
    message.entities.some((entity) => !entity.depends && isStored(image, entity)),
  );
  return inForce.sort((left, right) => left.revision - right.revision || (left.id < right.id ? -1 : 1));
}

/**
 * The versions that nodes get in the place of stored ones. A function of the stored state alone, so that every control
 * plane arrives at the same content; a version is held back by name and revision, so that a newer one is not.
 */
export function heldVersions(image: Pick<ResourceImage, "all" | "get">): Map<string, HeldVersion> {
  const held = new Map<string, HeldVersion>();
  for (const quarantine of quarantinesInForce(image)) {
    for (const [index, entity] of quarantine.message.entities.entries()) {
      // Of two that hold back the same version the later one knows more: also what was good before was refused.
      if (isStored(image, entity))
        held.set(nameOfResource(entity), { quarantine, entity, good: goodVersion(quarantine, index) });
    }
  }
  return held;
}

/** Whether the version that is held back is the stored one; by its body where the state is one of which no more is known. */
function isStored(image: Pick<ResourceImage, "get">, { kind, id, refusedRevision, refusedHash }: HeldEntity): boolean {
  const stored = image.get(kind as StoredKind, id);
  if (stored?.revision !== 0) return (stored?.revision ?? 0) === Number(refusedRevision);
  return Buffer.compare(hashOf(stored.body), refusedHash) === 0;
}

/** By which a version is known again. */
export function hashOf(body: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", body, "buffer"));
}

/** Decoded once: contents are compared by their bodies' identity. */
const goodVersions = new WeakMap<StoredResource, (StoredResource | null)[]>();

function goodVersion(quarantine: StoredResource<"quarantine">, index: number): StoredResource | null {
  let decoded = goodVersions.get(quarantine);
  if (decoded === undefined) {
    decoded = quarantine.message.entities.map(({ kind, id, goodBody, goodRevision }) =>
      goodBody === undefined ? null : storedVersion(kind as StoredKind, id, goodBody, Number(goodRevision)),
    );
    goodVersions.set(quarantine, decoded);
  }
  return decoded[index] ?? null;
}

export function storedVersion(kind: StoredKind, id: string, body: Uint8Array, revision: number): StoredResource {
  // A view would keep all of the quarantine's message in memory.
  return { kind, id, revision, body: new Uint8Array(body), message: decodeResource(kind, body) };
}
