import type { StoredKind, UnpublishedKind } from "../resource/checked.ts";

const unpublished: { readonly [K in UnpublishedKind]: true } = {
  node_authority: true,
  join_token: true,
  node_identity: true,
  rollout_policy: true,
  rollout_order: true,
};

/**
 * Whether a write of a kind is a new publication. What decides nothing of what nodes get must be none, or each
 * certificate that is given to one node would be a push to all of them.
 */
export function isPublished(kind: StoredKind): boolean {
  return !Object.hasOwn(unpublished, kind);
}
