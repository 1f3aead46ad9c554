import { NodeIdentities } from "../../control-plane/identity/node-identities.ts";
import type { Store } from "../../control-plane/store/store.ts";

/** Who the nodes are where nobody is asked: the sync port takes no TLS. */
export function plainIdentities(store: Store): NodeIdentities {
  const clock = { unixMs: () => 0 };
  return new NodeIdentities({ store, clock, gate: null, tokens: null, refusals: { entries: () => [] } });
}
