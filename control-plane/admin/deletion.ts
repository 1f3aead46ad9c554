import type { StoredResource } from "../store/resource-image.ts";
import type { ResourceWrite } from "../store/store.ts";

/** @param expectedRevision that the resource must still have; null for any */
export function deletion({ kind, id }: StoredResource, expectedRevision: number | null): ResourceWrite {
  return { kind, id, operation: "delete", body: new Uint8Array(), expectedRevision, uniqueKeys: [], references: [] };
}
