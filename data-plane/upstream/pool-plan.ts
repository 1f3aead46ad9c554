import type { PoolConfig } from "../config/worker-config.ts";

/** A pool as configured: what a worker is told of it, and the hosts that its endpoints are resolved from. */
export interface PoolPlan extends Omit<PoolConfig, "poolRow"> {
  /** What a member's weight is the weight of, where its name has several addresses. */
  readonly weightBasis: "per_address" | "per_target";
  /** Whether endpoints that SRV records lead to are sent the record's target as Host, instead of the member's host. */
  readonly usesSrvName: boolean;
  /** In the order in which round-robin meets them; without those of weight 0. */
  readonly members: readonly PoolMember[];
}

/** One configured `host:port`; it becomes as many endpoints as its host has addresses. */
export interface PoolMember {
  /** A hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** 1..65535. For each of the addresses, or all of them; per address, the weight of an SRV record goes before it. */
  readonly weight: number;
  /** The port that a Host header leaves out: the protocol's own. */
  readonly impliedPort: number;
}
