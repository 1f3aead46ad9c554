import type { Kind } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { maskSecrets } from "../resource/secret-fields.ts";
import type { ResourceImage } from "../store/resource-image.ts";
import { etagOf } from "./etag.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/**
 * A stored resource as clients get it: with its etag and what is kept elsewhere, and without secrets unless they were
 * asked for by who may read them. Its parts are shared with the image: not to be changed.
 */
export function showResource<K extends Kind>(
  definition: ResourceDefinition<K>,
  image: ResourceImage,
  { message, revision }: { readonly message: ResourceOf[K]; readonly revision: number },
  withSecrets = false,
): ResourceOf[K] {
  const complete = definition.complete?.(message, image) ?? message;
  return { ...(withSecrets ? complete : maskSecrets(definition.rules, complete)), etag: etagOf(revision) };
}
