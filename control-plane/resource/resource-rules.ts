import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import type { Kind, Problem } from "./checked.ts";
import type { Draft, ResourceOf } from "./draft.ts";
import type { OwnAddress } from "./own-address.ts";

/** A field that names another resource. */
export interface ReferenceField {
  /** Dotted path of a Reference, or of a list of ids. */
  readonly path: string;
  readonly toKind: Kind;
  /** Kong's name of the collection it names. */
  readonly toCollection: string;
}

/** Something that no other resource of the kind may have, too. */
export interface UniqueKey {
  /** As the store keeps it, such as "name:u1". */
  readonly key: string;
  /** The field that a duplicate is told of. */
  readonly field: string;
  /** Kong's message about a duplicate. */
  readonly duplicateMessage: string;
}

/** What a check may look at beside the message. */
export interface CheckContext<T> {
  /** Unix time of the write. */
  readonly nowMs: number;
  /** What the write changes or replaces; null when it creates. */
  readonly stored: T | null;
  /** Where the control plane itself is reached: nothing may be forwarded there. */
  readonly ownAddresses?: readonly OwnAddress[];
}

/** What is particular to one kind of resource. Pure: the same answers for the same message, always. */
export interface ResourceRules<K extends Kind = Kind> {
  readonly kind: K;
  /** Kong's name of the collection, as its messages say it. */
  readonly collection: string;
  readonly schema: GenMessage<ResourceOf[K]>;
  /** A resource with every default filled in and nothing else; never changed. */
  readonly defaults: ResourceOf[K];
  /** Fields and records that may not be null, parents before children. */
  readonly required: readonly string[];
  readonly references: readonly ReferenceField[];
  /** Top-level texts that are shown to those only who may read secrets. */
  readonly secrets: readonly string[];
  /**
   * The draft with what follows from it but is not named in it.
   * @param stored what an update changes; null on create and replace
   */
  withImplied(draft: Draft<ResourceOf[K]>, stored: ResourceOf[K] | null): Draft<ResourceOf[K]>;
  /** The one form in which the same meaning is stored; what is not valid stays as it is. */
  normalize(message: ResourceOf[K]): ResourceOf[K];
  /** What the proto's rules cannot say: shapes of texts, and combinations of fields. */
  check(message: ResourceOf[K], context: CheckContext<ResourceOf[K]>): readonly Problem[];
  uniqueKeys(message: ResourceOf[K]): readonly UniqueKey[];
}

/** The unique name that upstreams always have, and services and routes may have. */
export function nameKey(name: string | undefined): readonly UniqueKey[] {
  if (name === undefined || name === "") return [];
  return [{ key: `name:${name}`, field: "name", duplicateMessage: `UNIQUE violation detected on '{name="${name}"}'` }];
}

/** The values of a set: each once, in the order given. */
export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
