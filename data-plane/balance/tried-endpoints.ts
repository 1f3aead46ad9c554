import type { EndpointConfig } from "../config/worker-config.ts";

/** By row: the set may have been sent anew, with new objects, between two attempts of one request. */
export function isAmong(tried: readonly EndpointConfig[], endpoint: EndpointConfig): boolean {
  for (let i = 0; i < tried.length; i++) if (tried[i]!.row === endpoint.row) return true;
  return false;
}
