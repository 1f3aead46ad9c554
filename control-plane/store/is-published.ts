import type { StoredKind, UnpublishedKind } from "../resource/checked.ts";

const unpublished: { readonly [K in UnpublishedKind]: true } = {
  node_authority: true,
  join_token: true,
  node_identity: true,
};

/**
 * Whether nodes get resources of a kind. What they do not get must not be a new publication either, or each certificate
 * that is given to one node would be a push to all of them.
 */
export function isPublished(kind: StoredKind): boolean {
  return !Object.hasOwn(unpublished, kind);
}
