import type { Excess } from "../../proto/hard-limits.ts";
import type { Refusal } from "./apply-snapshot.ts";

/** Why an entity makes its snapshot unacceptable; the stable names that a nack carries. */
export type ProblemReason =
  | "unknown_kind"
  | "undecodable_entity"
  | "duplicate_entity"
  | "invalid_entity"
  | "dangling_reference"
  | "limit_exceeded";

/** What is wrong with one entity. */
export interface EntityProblem {
  readonly reason: ProblemReason;
  /** Path of the field in proto spelling, list items by index ("paths[0]"); "" for the whole entity. */
  readonly field: string;
  /** One sentence without full stop. */
  readonly message: string;
}

/** A compiled part, or the first thing wrong with its entity. */
export type Compiled<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: EntityProblem };

export function compiled<T>(value: T): Compiled<T> {
  return { ok: true, value };
}

export function invalid(field: string, message: string): Compiled<never> {
  return { ok: false, problem: { reason: "invalid_entity", field, message } };
}

export function dangling(field: string, message: string): Compiled<never> {
  return { ok: false, problem: { reason: "dangling_reference", field, message } };
}

/** The entity is one too many for this node. */
export function excessProblem({ field, message }: Excess): EntityProblem {
  return { reason: "limit_exceeded", field, message: `${message}; this node takes no more` };
}

/** The refusal of the snapshot that the entity is in. @param name what people call it; "" where that is not known */
export function refusalOf(problem: EntityProblem, kind: string, id: string, name: string): Refusal {
  const { reason, field, message } = problem;
  return { reason, entityKind: kind, entityId: id, entityName: name, field, message };
}
