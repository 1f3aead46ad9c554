/** What is wrong with a write or a read, in words that both faces can pass on. */
export interface Problem {
  readonly code: ProblemCode;
  /** Path of the field, dotted, list items by 0-based index (`tags.0`); "" when it is about the whole resource. */
  readonly field: string;
  /** One sentence or fragment without trailing full stop, in the words of Kong's Admin API where it has them. */
  readonly message: string;
  /** The resource that the problem is about, where it is another one than the written one. */
  readonly resource?: { readonly kind: Kind; readonly id: string };
}

export type ProblemCode =
  /** A field, or a combination of fields (field ""), is not acceptable. */
  | "invalid"
  /** The written or read resource, or its parent, is not there. */
  | "not_found"
  /** Another resource has this id. */
  | "duplicate_id"
  /** Another resource has this name or address. */
  | "duplicate_key"
  /** A reference by id points to nothing. */
  | "dangling_reference"
  /** A reference by name points to nothing; apart from the one by id, as Kong's error code for it is another. */
  | "unresolved_reference"
  /** The resource is still referenced and cannot go. */
  | "still_referenced"
  /** The etag of the write is not that of the stored resource. */
  | "stale_etag"
  /** A page token that no list call gave out, or not for this list. */
  | "invalid_page_token"
  /** The store cannot take writes now (disk full, closing, contended after all tries). */
  | "unavailable";

/** A value, or everything that is wrong with it. Never empty of problems when not ok. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The kinds of resource that clients read and write. */
export type Kind = "upstream" | "target" | "service" | "route" | "certificate" | "sni" | "ca_certificate";

/** The kinds as they stand in the store and on the sync stream: also those that no client writes as a resource. */
export type StoredKind = Kind | "ticket_key" | "health_override" | "rollout" | "quarantine" | UnpublishedKind;

/**
 * The kinds that no node gets: who the nodes are, and how changes reach them. A write of these alone is no new
 * publication. That of a "rollout" or a "quarantine" is one, though no node gets it: it decides who gets what.
 */
export type UnpublishedKind = "node_authority" | "join_token" | "node_identity" | "rollout_policy" | "rollout_order";
