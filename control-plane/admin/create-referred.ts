import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Reference, ReferenceSchema } from "../../proto/gen/penstock/config/v1/reference_pb.ts";
import type { Checked, Kind } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";
import { localNameOf, valueAt } from "../resource/message-fields.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";
import { commitWrite, unavailable } from "./commit-write.ts";
import { findResource } from "./find-resource.ts";
import { type PreparedWrite, prepareWrite } from "./prepare-write.ts";
import type { Written } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";
import { inTurn } from "./write-resource.ts";

/** A resource whose parent is to be made: it refers to none yet. */
export interface Orphan<C extends Kind = Kind> {
  readonly definition: ResourceDefinition<C>;
  /** Id or unique name. */
  readonly key: string;
}

const takenMeanwhile = "another write has set what it refers to; try again";

/**
 * Creates a resource and has another one refer to it as its parent, in one transaction: neither is written without the
 * other. not_found when the other one is absent; unavailable when it has come to refer to something meanwhile.
 */
export function createReferred<P extends Kind, C extends Kind>(
  context: AdminContext,
  definition: ResourceDefinition<P>,
  { definition: of, key }: Orphan<C>,
  draft: Draft<ResourceOf[P]>,
): Promise<Checked<Written<ResourceOf[P]>>> {
  const { schema } = of.rules;
  const { field } = of.parent!;
  return inTurn(context, of, { key }, () =>
    commitWrite(context, definition, () => {
      const { image } = context.store;
      const found = findResource(image, of, { key });
      if (!found.ok) return found;
      if (referredId(of, found.value.message) !== null) return unavailable(takenMeanwhile);
      const id = randomUUID();
      const request = { draft, mode: "whole" as const, stored: null, id, fixed: {} };
      const made = prepareWrite(context, definition, request);
      if (!made.ok) return made;
      const fixed = { [localNameOf(schema, field)]: create(ReferenceSchema, { id }) } as Partial<ResourceOf[C]>;
      const referring = {
        draft: { message: of.rules.defaults, paths: [] },
        mode: "update" as const,
        stored: found.value,
        id: found.value.id,
        fixed,
      };
      const withMade = { ...context, store: { image: imageWith(image, definition.rules.kind, made.value) } };
      const linked = prepareWrite(withMade, of, referring);
      if (!linked.ok) return linked;
      const also = [...made.value.also, linked.value.write, ...linked.value.also];
      return { ok: true, value: { ...made.value, also } };
    }),
  );
}

/** The id of a resource's parent; null where it has none. */
export function referredId<K extends Kind>({ rules, parent }: ResourceDefinition<K>, message: object): string | null {
  return (valueAt(rules.schema, message as ResourceOf[K], parent!.field) as Reference | undefined)?.id ?? null;
}

/** The committed state as it is when a resource has been created. */
function imageWith<K extends Kind>(image: ResourceImage, kind: K, { write, message }: PreparedWrite<K>): ResourceImage {
  const created = { kind, id: write.id, revision: image.revision, body: write.body, message };
  return {
    revision: image.revision,
    publication: image.publication,
    bodyBytes: image.bodyBytes,
    get: (ofKind, id) =>
      ofKind === (kind as Kind) && id === write.id
        ? (created as unknown as StoredResource<typeof ofKind>)
        : image.get(ofKind, id),
    getByKey: (ofKind, key) => image.getByKey(ofKind, key),
    all: (ofKind) => image.all(ofKind),
    count: (ofKind) => image.count(ofKind),
    referrers: (ofKind, toKind, toId) => image.referrers(ofKind, toKind, toId),
  };
}
