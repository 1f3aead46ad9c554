import type { ResolverSettings } from "./dns/resolver-settings.ts";
import type { NameState } from "./name-entry.ts";

/** What a node shows of its names: what each stands for, for how long yet, and why it was not resolved. */
export function namesPage(states: readonly NameState[], settings: ResolverSettings) {
  return {
    servers: settings.servers.map(({ host, port }) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)),
    search: settings.search,
    ndots: settings.ndots,
    names: states.map((state) => ({
      name: state.name,
      source: state.source,
      addresses: state.addresses,
      ...(state.services.length === 0 ? {} : { services: state.services }),
      next_lookup_in_ms: state.dueInMs,
      looked_up_ms_ago: state.lookedUpMsAgo,
      last_error: state.error,
      failing_for_ms: state.failingForMs,
    })),
  };
}

export function namesGauges(states: readonly NameState[]) {
  const isUnresolved = ({ source }: NameState) => source === null;
  return {
    names: states.length,
    /** Without an answer to use. */
    names_unresolved: states.filter(isUnresolved).length,
    /** Whose last good answer is used, since there is no newer one. */
    names_stale: states.filter((state) => state.error !== null && !isUnresolved(state)).length,
  };
}
