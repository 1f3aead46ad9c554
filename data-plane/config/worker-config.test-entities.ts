import { defaultBalancing } from "./balancing-config.ts";
import { defaultResilience } from "./resilience-config.ts";
import type { EndpointConfig, EndpointSet, PoolConfig } from "./worker-config.ts";

/** An upstream's pool with nothing configured. */
export function testPool(given: Partial<PoolConfig> = {}): PoolConfig {
  return {
    key: "upstream:u",
    name: "u",
    poolRow: 0,
    hostHeader: null,
    isUpstream: true,
    algorithm: "round-robin",
    balancing: defaultBalancing,
    resilience: defaultResilience,
    passive: null,
    ...given,
  };
}

export function testEndpoint(given: Partial<EndpointConfig> = {}): EndpointConfig {
  return {
    row: 0,
    address: "127.0.0.1",
    port: 80,
    weight: 1,
    priority: 0,
    isLocal: true,
    maxInFlight: 0,
    stickyKey: "",
    hostHeader: "a.test",
    ...given,
  };
}

export function testSet(endpoints: readonly EndpointConfig[], given: Partial<EndpointSet> = {}): EndpointSet {
  const emptyBecause = endpoints.length === 0 ? "no_targets" : null;
  return { poolKey: "upstream:u", endpoints, emptyBecause, rings: null, ...given };
}
