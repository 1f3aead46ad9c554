import type { Message } from "@bufbuild/protobuf";
import type { Kind } from "./checked.ts";
import type { Draft, ResourceOf } from "./draft.ts";
import { localNameOf, valueAt } from "./message-fields.ts";
import type { ResourceRules } from "./resource-rules.ts";

/** What is shown in place of a secret, and what a client sends back for one that it has not seen. */
export const mask = "***";

/** A copy in which every secret that is there is masked. */
export function maskSecrets<K extends Kind>(rules: ResourceRules<K>, message: ResourceOf[K]): ResourceOf[K] {
  if (rules.secrets.length === 0) return message;
  const masked: Record<string, string> = {};
  for (const path of rules.secrets)
    if (valueAt(rules.schema, message, path)) masked[localNameOf(rules.schema, path)] = mask;
  return { ...message, ...masked };
}

/** The draft with the stored secret wherever it holds the mask: what was read can be written back. */
export function keepMasked<K extends Kind>(
  rules: ResourceRules<K>,
  draft: Draft<ResourceOf[K]>,
  stored: ResourceOf[K] | null,
): Draft<ResourceOf[K]> {
  if (stored === null || rules.secrets.length === 0) return draft;
  const kept: Record<string, unknown> = {};
  for (const path of rules.secrets) {
    const isMasked = draft.paths.includes(path) && valueAt(rules.schema, draft.message, path) === mask;
    const value = valueAt(rules.schema, stored as Message, path);
    // A mask of nothing stays, and is told as the broken key that it is.
    if (isMasked && value !== undefined) kept[localNameOf(rules.schema, path)] = value;
  }
  return { ...draft, message: { ...draft.message, ...kept } };
}
