/**
 * What this program can do, as a node says it in its hello. The control plane asks no node what it cannot answer, and
 * tells people which parts of the configuration a node without `config.*` of that kind takes no notice of.
 */
export const nodeCapabilities: readonly string[] = [
  "config.v1",
  "config.balancing",
  "config.client-authentication",
  "config.client-certificates",
  "config.hashing",
  "config.health-overrides",
  "config.latency",
  "config.resilience",
  "config.route-limits",
  "config.route-retry",
  "config.sticky-sessions",
  "config.tiers",
  "config.tls",
  "config.weight-basis",
  "delta.v1",
  "query.drained",
  "query.explain",
];
