import type { HardLimits } from "../../proto/hard-limits.ts";
import type { Checked, Kind, StoredKind } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";
import type { OwnAddress } from "../resource/own-address.ts";
import type { ResourceRules } from "../resource/resource-rules.ts";
import type { Warning } from "../resource/stored-only-warnings.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import type { KeyQueue } from "./key-queue.ts";
import type { NameLookups } from "./name-lookups.ts";
import type { WhoLacks } from "./skew-warnings.ts";

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
  /** The kinds that refer to these, and what a deletion does to those that do. */
  readonly referrers: readonly Referrer[];
  readonly listOrder: "by id" | "newest first";
  /** Whether replacing what is not there creates it, under an address that is an id or a name. */
  isCreatedByReplace(address: string): boolean;
  /** The fields that a replace takes from the address or from what it replaces, whatever else its draft says. */
  keptByReplace(replace: {
    readonly address: string;
    readonly stored: ResourceOf[K] | null;
    readonly draft: Draft<ResourceOf[K]>;
  }): Partial<ResourceOf[K]>;
  /** Warnings that need the other resources, or the time. `paths` is what the write sets. */
  warnings?(message: ResourceOf[K], paths: readonly string[], beside: WriteSurroundings): readonly Warning[];
  /** The host that the nodes have to look up, and the field that names it; null where they need not. */
  lookedUpHost?(message: ResourceOf[K], image: ResourceImage): { readonly field: string; readonly name: string } | null;
  /** For kinds with fields that are resources of their own: the message as it is stored, and the writes of those. */
  split?(merged: ResourceOf[K], paths: readonly string[], beside: WriteSurroundings): Checked<SplitMessage<K>>;
  /** The reverse: the message as clients get it. */
  complete?(message: ResourceOf[K], image: ResourceImage): ResourceOf[K];
}

/** A kind that refers to another. */
export type Referrer =
  | { readonly kind: Kind; readonly collection: string; readonly onDelete: "refuse" }
  /** Those go as well, with all that refers to them. */
  | { readonly kind: StoredKind; readonly onDelete: "cascade"; readonly referrers?: readonly Referrer[] };

export interface SplitMessage<K extends Kind> {
  readonly message: ResourceOf[K];
  readonly writes: readonly ResourceWrite[];
}

/** What a write stands among. */
export interface WriteSurroundings {
  readonly image: ResourceImage;
  /** Unix time of the write. */
  readonly nowMs: number;
}

/** What every operation works with. */
export interface AdminContext {
  readonly store: Store;
  /** Unix time in milliseconds. */
  readonly clock: () => number;
  /** One per process: writes to one resource go one after the other. */
  readonly queue: KeyQueue;
  /** Whether hosts resolve on this machine; null: nobody looks. */
  readonly lookups: Pick<NameLookups, "problemOf"> | null;
  /** Who of the connected nodes lacks a capability; null: nobody knows. */
  readonly whoLacks: WhoLacks | null;
  /** The most that a configuration may hold. */
  readonly limits: HardLimits;
  /** Where the control plane itself is reached. */
  readonly ownAddresses: () => readonly OwnAddress[];
}
