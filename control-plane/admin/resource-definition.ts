import type { Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import type { ResourceRules } from "../resource/resource-rules.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { Store } from "../store/store.ts";
import type { KeyQueue } from "./key-queue.ts";

/** How resources of one kind are found, listed and deleted; what may stand in them is in their rules. */
export interface ResourceDefinition<K extends Kind = Kind> {
  readonly rules: ResourceRules<K>;
  /** The kind under which these are addressed, and the field that refers to it. */
  readonly parent: {
    readonly kind: Kind;
    readonly field: string;
    /** Whether a resource cannot be addressed or exist without its parent. */
    readonly isRequired: boolean;
  } | null;
  /** The kind that refers to these, and what a deletion does to it. */
  readonly referrer: {
    readonly kind: Kind;
    readonly collection: string;
    readonly onDelete: "cascade" | "refuse";
  } | null;
  readonly listOrder: "by id" | "newest first";
  /** Whether replacing what is not there creates it. */
  readonly isCreatedByReplace: boolean;
  /** The unique key that an address other than an id stands for. */
  uniqueKeyOf(address: string, parentId: string | null): string;
  /** The fields that a replace takes from the address or from what it replaces, whatever else its draft says. */
  keptByReplace(replace: {
    readonly address: string;
    readonly stored: ResourceOf[K] | null;
    readonly paths: readonly string[];
  }): Partial<ResourceOf[K]>;
  /** Warnings that need the other resources. `paths` is what the write sets. */
  warnings?(message: ResourceOf[K], paths: readonly string[], image: ResourceImage): readonly Warning[];
}

/** What every operation works with. */
export interface AdminContext {
  readonly store: Store;
  /** Unix time in milliseconds. */
  readonly clock: () => number;
  /** One per process: writes to one resource go one after the other. */
  readonly queue: KeyQueue;
}
