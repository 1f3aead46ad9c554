import { HARD_LIMITS } from "../../proto/hard-limits.ts";
import type { Checked, Kind } from "../resource/checked.ts";
import type { Draft, ResourceOf } from "../resource/draft.ts";
import type { Store } from "../store/store.ts";
import { caCertificates } from "./ca-certificates.ts";
import { certificates } from "./certificates.ts";
import { createReferred } from "./create-referred.ts";
import { findResource } from "./find-resource.ts";
import { KeyQueue } from "./key-queue.ts";
import { ResourceLists } from "./list-resources.ts";
import { removeResource } from "./remove-resource.ts";
import type { Admin, ResourceAdmin, Written } from "./resource-admin.ts";
import type { AdminContext, ResourceDefinition } from "./resource-definition.ts";
import { routes } from "./routes.ts";
import { services } from "./services.ts";
import { setTargetHealth } from "./set-target-health.ts";
import { showResource } from "./show-resource.ts";
import { snis } from "./snis.ts";
import { targets } from "./targets.ts";
import { upstreams } from "./upstreams.ts";
import { warnOfHost } from "./warn-of-host.ts";
import { createResource, replaceResource, updateResource } from "./write-resource.ts";

/** Writes of all resources that may wait for their turn; beyond it they are refused at once. */
const waitingMaxCount = 50_000;

const definitions: { readonly [K in Kind]: ResourceDefinition<K> } = {
  upstream: upstreams,
  target: targets,
  service: services,
  route: routes,
  certificate: certificates,
  sni: snis,
  ca_certificate: caCertificates,
};

/**
 * What a change means: the one place where resources are read and written, for every face alike.
 *
 * @param clock unix time in milliseconds, for created_at and updated_at
 * @param ownAddresses where the control plane is reached, at the time of each write
 * @param lookups whether hosts resolve on this machine; null: nobody looks
 * @param beside who of the connected nodes lacks a capability (default: nobody knows), and the most that a configuration
 *   may hold
 */
export function openAdmin(
  store: Store,
  clock: () => number,
  ownAddresses: AdminContext["ownAddresses"] = () => [],
  lookups: AdminContext["lookups"] = null,
  { whoLacks = null, limits = HARD_LIMITS }: Partial<Pick<AdminContext, "whoLacks" | "limits">> = {},
): Admin {
  const queue = new KeyQueue(waitingMaxCount);
  const context: AdminContext = { store, clock, queue, ownAddresses, lookups, whoLacks, limits };
  return {
    upstream: openResourceAdmin(context, definitions.upstream),
    target: openResourceAdmin(context, definitions.target),
    service: openResourceAdmin(context, definitions.service),
    route: openResourceAdmin(context, definitions.route),
    certificate: openResourceAdmin(context, definitions.certificate),
    sni: openResourceAdmin(context, definitions.sni),
    ca_certificate: openResourceAdmin(context, definitions.ca_certificate),
    setTargetHealth: (decision) => setTargetHealth(context, decision),
  };
}

function openResourceAdmin<K extends Kind>(context: AdminContext, definition: ResourceDefinition<K>): ResourceAdmin<K> {
  const lists = new ResourceLists(definition);
  const looked = (draft: Draft<ResourceOf[K]>, write: Promise<Checked<Written<ResourceOf[K]>>>) =>
    warnOfHost(context, definition, draft.paths, write);
  return {
    get(key, access) {
      const found = findResource(context.store.image, definition, key);
      if (!found.ok) return found;
      return { ok: true, value: showResource(definition, context.store.image, found.value, access?.withSecrets) };
    },
    list: (query) => lists.list(context.store.image, query),
    create: (draft, parent) => looked(draft, createResource(context, definition, draft, parent)),
    createFor: ({ kind, key }, draft) => {
      const referrer = { definition: definitions[kind] as unknown as ResourceDefinition, key };
      return looked(draft, createReferred(context, definition, referrer, draft));
    },
    replace: (key, draft) => looked(draft, replaceResource(context, definition, key, draft)),
    update: (key, draft) => looked(draft, updateResource(context, definition, key, draft)),
    remove: (key, etag) => removeResource(context, definition, key, etag),
  };
}
