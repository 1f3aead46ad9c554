import { bytesExcess, countExcess, type Excess, type HardLimits, targetsExcess } from "../../proto/hard-limits.ts";
import type { Kind, Problem } from "../resource/checked.ts";
import type { ResourceOf } from "../resource/draft.ts";
import { invalid } from "../resource/problems.ts";
import type { ResourceImage, StoredResource } from "../store/resource-image.ts";

/** A write that is fine in itself. */
export interface SizedWrite<K extends Kind> {
  readonly kind: K;
  readonly message: ResourceOf[K];
  readonly body: Uint8Array;
  /** What it replaces; null where it creates. */
  readonly stored: StoredResource<K> | null;
}

/**
 * Why a write would make the configuration larger than nodes take; null when it would not. Writes that are decided
 * beside each other do not see each other, so as many as wait together may pass a limit.
 */
export function excessProblem<K extends Kind>(
  image: Pick<ResourceImage, "count" | "referrers" | "bodyBytes">,
  limits: HardLimits,
  { kind, message, body, stored }: SizedWrite<K>,
): Problem | null {
  const growth = body.length - (stored?.body.length ?? 0);
  const tooLarge = growth > 0 ? bytesExcess(image.bodyBytes + growth, limits) : null;
  if (tooLarge !== null) return invalid("", `${tooLarge.message}, which no node takes`);
  const excess =
    (kind === "target"
      ? targetsOf(image, limits, message as ResourceOf["target"], stored as StoredResource<"target">)
      : null) ?? (stored === null ? countExcess(kind, image.count(kind) + 1, limits) : null);
  return excess === null ? null : invalid(excess.field, `${excess.message}; no node takes more`);
}

function targetsOf(
  image: Pick<ResourceImage, "referrers">,
  limits: HardLimits,
  { upstream }: ResourceOf["target"],
  stored: StoredResource<"target"> | null,
): Excess | null {
  const id = upstream?.id ?? "";
  if (stored?.message.upstream?.id === id) return null;
  let count = 1;
  for (const _ of image.referrers("target", "upstream", id)) if (++count > limits.targetsPerUpstreamMax) break;
  return targetsExcess(count, limits);
}
