import type { ClientAuthenticationConfig } from "../config/tls-config.ts";

/** The same text where the same is asked of clients; "" where nothing is. */
export function authenticationKey(asked: ClientAuthenticationConfig | null): string {
  return asked === null ? "" : JSON.stringify([asked.isRequired, asked.depthMax, asked.caPems]);
}
