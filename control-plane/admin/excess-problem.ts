import type { HardLimits } from "../../proto/hard-limits.ts";
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
  if (growth > 0 && image.bodyBytes + growth > limits.bodyBytesMax)
    return invalid("", `the configuration would be larger than ${limits.bodyBytesMax} bytes, which no node takes`);
  if (kind === "target") {
    const problem = targetsProblem(image, limits, message as ResourceOf["target"], stored as StoredResource<"target">);
    if (problem !== null) return problem;
  }
  const most = mostOf(kind, limits);
  if (stored !== null || image.count(kind) < most) return null;
  return invalid("", `there are ${most} of this kind already; no node takes more`);
}

function targetsProblem(
  image: Pick<ResourceImage, "referrers">,
  { targetsPerUpstreamMax }: HardLimits,
  { upstream }: ResourceOf["target"],
  stored: StoredResource<"target"> | null,
): Problem | null {
  const id = upstream?.id ?? "";
  if (stored?.message.upstream?.id === id) return null;
  let count = 0;
  for (const _ of image.referrers("target", "upstream", id)) if (++count >= targetsPerUpstreamMax) break;
  if (count < targetsPerUpstreamMax) return null;
  return invalid("upstream", `has ${targetsPerUpstreamMax} targets already; no node takes more`);
}

function mostOf(kind: Kind, limits: HardLimits): number {
  const { routesMax, servicesMax, upstreamsMax, targetsMax, certificatesMax, serverNamesMax } = limits;
  return {
    route: routesMax,
    service: servicesMax,
    upstream: upstreamsMax,
    target: targetsMax,
    certificate: certificatesMax,
    ca_certificate: certificatesMax,
    sni: serverNamesMax,
  }[kind];
}
