import type { Checked, Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import type { Written } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";

/**
 * Adds a warning to a write that names a host which does not resolve here. It is never refused: nodes resolve by
 * themselves, and may know more. Looked up when the write is done and others have had their turn, so that the lookup
 * delays nothing but the answer, by half a second at most.
 *
 * @param paths what the write sets
 */
export async function warnOfHost<K extends Kind>(
  { store, lookups }: AdminContext,
  { lookedUpHost }: ResourceDefinition<K>,
  paths: readonly string[],
  write: Promise<Checked<Written<ResourceOf[K]>>>,
): Promise<Checked<Written<ResourceOf[K]>>> {
  const written = await write;
  if (!written.ok || lookups === null) return written;
  const host = lookedUpHost?.(written.value.resource, store.image) ?? null;
  if (host === null || !paths.includes(host.field)) return written;
  const problem = await lookups.problemOf(host.name);
  if (problem === null) return written;
  const message =
    `'${host.name}' does not resolve where the control plane runs (${problem}); ` +
    "nodes resolve names by themselves, and go by what they find";
  return {
    ok: true,
    value: { ...written.value, warnings: [...written.value.warnings, { field: host.field, message }] },
  };
}
