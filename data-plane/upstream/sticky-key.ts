import { createHash } from "node:crypto";
import type { EndpointIdentity } from "./endpoint-rows.ts";

/**
 * What names an endpoint in the cookie of sticky sessions: the same on every node, after restarts, and for a target that was
 * deleted and made anew. The pool's key has the upstream's id in it, which clients do not know, so that nobody can find
 * the address by trying all of them.
 *
 * @returns 16 hexadecimal digits
 */
export function stickyKey({ poolKey, host, name, address, port }: Omit<EndpointIdentity, "targetId">): string {
  return createHash("sha256")
    .update(JSON.stringify([poolKey, host, name ?? "", address, port]))
    .digest("hex")
    .slice(0, 16);
}
