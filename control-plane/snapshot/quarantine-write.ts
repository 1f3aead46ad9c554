import { create, toBinary } from "@bufbuild/protobuf";
import {
  type HeldEntity,
  HeldEntitySchema,
  type Quarantine,
  QuarantineSchema,
} from "../../proto/gen/penstock/config/v1/quarantine_pb.ts";
import type { StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";
import { hashOf, nameOfResource } from "./held-versions.ts";
import type { HeldBack } from "./judge-refusal.ts";
import type { ResourceReader } from "./quarantine-view.ts";

/** A resource to be held back, as it stands in a quarantine. @param stored what is stored, refused or depending */
export function heldEntity({ kind, id, good }: HeldBack, stored: ResourceReader, depends: boolean): HeldEntity {
  const refused = stored.get(kind, id);
  return create(HeldEntitySchema, {
    ...{ kind, id, depends, name: nameOf(refused) },
    refusedRevision: BigInt(refused?.revision ?? 0),
    refusedHash: refused === undefined ? new Uint8Array() : hashOf(refused.body),
    ...(good === null ? {} : { goodBody: good.body, goodRevision: BigInt(good.revision) }),
  });
}

/** @param before what it replaces; null for a new one */
export function quarantineWrite(quarantine: Quarantine, before: StoredResource | null): ResourceWrite {
  const { id } = quarantine;
  const [first] = quarantine.entities;
  return {
    ...{ kind: "quarantine", id, operation: before === null ? "create" : "update" },
    body: toBinary(QuarantineSchema, quarantine),
    expectedRevision: before?.revision ?? null,
    // Two control planes that hear of one refusal make one quarantine.
    uniqueKeys: first === undefined ? [] : [`refused:${quarantine.publication}:${nameOfResource(first)}`],
    references: [],
  };
}

/** A quarantine that holds back more; what it held back of the same resources before is replaced. */
export function withEntities(quarantine: Quarantine, added: readonly HeldEntity[]): Quarantine {
  const names = new Set(added.map(nameOfResource));
  const kept = quarantine.entities.filter((entity) => !names.has(nameOfResource(entity)));
  return create(QuarantineSchema, { ...quarantine, entities: [...kept, ...added] });
}

function nameOf(stored: StoredResource | undefined): string {
  const { name, target } = (stored?.message ?? {}) as { readonly name?: unknown; readonly target?: unknown };
  return typeof name === "string" ? name : typeof target === "string" ? target : "";
}
