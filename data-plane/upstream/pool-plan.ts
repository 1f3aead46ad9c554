import type { PoolConfig } from "../config/worker-config.ts";

/** A pool as configured: what a worker is told of it, and the hosts that its endpoints are resolved from. */
export interface PoolPlan extends Omit<PoolConfig, "poolRow"> {
  /** In the order in which round-robin meets them; without those of weight 0. */
  readonly members: readonly PoolMember[];
}

/** One configured `host:port`; it becomes as many endpoints as its host has addresses. */
export interface PoolMember {
  /** A hostname, or an IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** 1..65535, for each of the addresses. */
  readonly weight: number;
  /** The Host header for its endpoints: the host, and ":port" unless that is the protocol's own. */
  readonly hostHeader: string;
}
