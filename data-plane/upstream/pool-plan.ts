import type { ActiveCheckConfig } from "../config/health-check-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";

/** A pool as configured: what a worker is told of it, and the hosts that its endpoints are resolved from. */
export interface PoolPlan extends Omit<PoolConfig, "poolRow"> {
  /** What a member's weight is the weight of, where its name has several addresses. */
  readonly weightBasis: "per_address" | "per_target";
  /** Whether endpoints that SRV records lead to are sent the record's target as Host, instead of the member's host. */
  readonly usesSrvName: boolean;
  /** As configured, for the rings of consistent hashing. */
  readonly slots: number;
  /** In the order in which round-robin meets them; without those of weight 0, but for sticky sessions. */
  readonly members: readonly PoolMember[];
  /** The main thread's business: workers send no probes. null = none are sent. */
  readonly activeCheck: ActiveCheckConfig | null;
  /** The services whose own host this is; absent for an upstream. Nobody's business but the control plane's. */
  readonly serviceIds?: readonly string[];
  readonly overrides: readonly HealthOverridePlan[];
}

/** What a person decided of a target's health. */
export interface HealthOverridePlan {
  readonly id: string;
  readonly targetId: string;
  /** An IP literal, canonical; null = all endpoints of the target. */
  readonly endpoint: { readonly address: string; readonly port: number } | null;
  /** false: no requests. true: forgiven once, and out for nothing until it expires, if it does. */
  readonly isHealthy: boolean;
  /** Unix milliseconds; null = when another decision is made. */
  readonly expiresAtMs: number | null;
  /** Tells a new decision from the one before. */
  readonly decidedAtMs: number;
}

/** One configured `host:port`; it becomes as many endpoints as its host has addresses. */
export interface PoolMember {
  /** Id of the target; "" for a service's own host. */
  readonly targetId: string;
  /** A hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /**
   * 1..65535, and with sticky sessions 0. For each of the addresses, or all of them; per address, the weight of an SRV
   * record goes before it.
   */
  readonly weight: number;
  /** Its tier, 0 to 15. */
  readonly priority: number;
  /** null = none is said. */
  readonly zone: string | null;
  /** Of each of its endpoints; 0 = any number. */
  readonly maxInFlight: number;
  /** The port that a Host header leaves out: the protocol's own. */
  readonly impliedPort: number;
}
