import type { Checked, Kind } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";

/** Says which resource: by id or unique name (targets: id or host:port), within a parent where there is one. */
export interface ResourceKey {
  /** Uuid, name, or for a target its address as stored. */
  readonly key: string;
  /** Id or name of the upstream (targets, required) or of the service (routes, optional: must then be its route). */
  readonly parent?: string;
}

export interface Written<T> {
  /** The resource as stored, with its etag. */
  readonly resource: T;
  readonly revision: number;
  readonly warnings: readonly { readonly field: string; readonly message: string }[];
  readonly isCreated: boolean;
}

export interface ListQuery {
  /** Rows in a page, 1..1000. */
  readonly size: number;
  /** Opaque, from the page before; undefined for the first. */
  readonly pageToken?: string;
  /** Only resources that carry all of these. */
  readonly tags?: readonly string[];
  /** Id or name of the upstream (targets, required) or service (routes, optional). */
  readonly parent?: string;
  /** Whether secrets are shown; only for a caller who may read them. Default: masked. */
  readonly withSecrets?: boolean;
}

/** What a read may show. */
export interface ReadAccess {
  /** Whether secrets are shown; only for a caller who may read them. Default: masked. */
  readonly withSecrets?: boolean;
}

export interface Page<T> {
  readonly rows: readonly T[];
  readonly nextPageToken?: string;
}

/** What both faces can do with resources of one kind; every rule lives below this line. Secrets in answers are masked. */
export interface ResourceAdmin<K extends Kind> {
  get(key: ResourceKey, access?: ReadAccess): Checked<ResourceOf[K]>;
  list(query: ListQuery): Checked<Page<ResourceOf[K]>>;
  /** `parent` sets the target's upstream or the route's service. */
  create(draft: Draft<ResourceOf[K]>, parent?: string): Promise<Checked<Written<ResourceOf[K]>>>;
  /**
   * Creates it and has another resource, which refers to none yet, refer to it as its parent, in one transaction: a
   * service's certificate. `key` is the other one's id or name; not_found when it is absent.
   */
  createFor(
    referrer: { readonly kind: Kind; readonly key: string },
    draft: Draft<ResourceOf[K]>,
  ): Promise<Checked<Written<ResourceOf[K]>>>;
  /** Replaces the whole resource, and creates it where it is absent (except targets: not_found). */
  replace(key: ResourceKey, draft: Draft<ResourceOf[K]>): Promise<Checked<Written<ResourceOf[K]>>>;
  /** Sets the draft's paths and leaves the rest. A non-empty draft.message.etag must match. */
  update(key: ResourceKey, draft: Draft<ResourceOf[K]>): Promise<Checked<Written<ResourceOf[K]>>>;
  /** not_found when absent: the REST face turns that into 204 where Kong does. */
  remove(key: ResourceKey, etag?: string): Promise<Checked<{ readonly revision: number }>>;
}

/** What a person decides of a target's health. */
export interface HealthDecision {
  /** Id or name of the upstream. */
  readonly upstream: string;
  /** Id or host:port of the target. */
  readonly target: string;
  /** One of its addresses, ip:port; "" for all of them. */
  readonly address: string;
  readonly isHealthy: boolean;
  /** null = until another decision, or for healthy ones once. */
  readonly expiresInMs: number | null;
}

export interface HealthDecided {
  readonly revision: number;
  readonly expiresAtUnixMs: number | null;
}

/** The whole of admin/, as the composition root hands it to the faces. */
export type Admin = { readonly [K in Kind]: ResourceAdmin<K> } & {
  /** Problems: not_found (upstream, target), invalid (address). */
  setTargetHealth(decision: HealthDecision): Promise<Checked<HealthDecided>>;
};
