import type { Target } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { Algorithm, type Upstream, WeightBasis } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { hostHeaderFor } from "../upstream/host-header.ts";
import type { PoolMember, PoolPlan } from "../upstream/pool-plan.ts";
import { compileBalancing, inFlightMax } from "./compile-balancing.ts";
import type { Checks } from "./compile-checks.ts";
import { compileResilience } from "./compile-resilience.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { parseHost, parseHostAndPort } from "./host-and-port.ts";

const ALGORITHMS: ReadonlyMap<Algorithm, PoolConfig["algorithm"]> = new Map<Algorithm, PoolConfig["algorithm"]>([
  [Algorithm.ROUND_ROBIN, "round-robin"],
  [Algorithm.LEAST_CONNECTIONS, "least-connections"],
  [Algorithm.CONSISTENT_HASHING, "consistent-hashing"],
  [Algorithm.LATENCY, "latency"],
  [Algorithm.STICKY_SESSIONS, "sticky-sessions"],
]);

/** Slots of a ring where an upstream says nothing of them. Source: Kong. */
export const defaultSlots = 10_000;
const slotsMin = 10;
const slotsMax = 65_536;
const prioritiesMax = 15;

const WEIGHT_BASES: ReadonlyMap<WeightBasis, PoolPlan["weightBasis"]> = new Map<WeightBasis, PoolPlan["weightBasis"]>([
  [WeightBasis.PER_ADDRESS, "per_address"],
  [WeightBasis.PER_TARGET, "per_target"],
]);

/** An upstream as a pool without members, or the first thing in it that a worker could not work with. */
export function compileUpstream(upstream: Upstream, checks: Checks): Compiled<PoolPlan> {
  if (upstream.name === "") return invalid("name", "is missing");
  const algorithm = ALGORITHMS.get(upstream.algorithm ?? Algorithm.ROUND_ROBIN);
  if (algorithm === undefined) return invalid("algorithm", `unknown algorithm number ${upstream.algorithm}`);
  const weightBasis = WEIGHT_BASES.get(upstream.weightBasis ?? WeightBasis.PER_ADDRESS);
  if (weightBasis === undefined) return invalid("weight_basis", `unknown weight basis number ${upstream.weightBasis}`);
  const hostHeader = upstream.hostHeader === undefined ? null : readHostHeader(upstream.hostHeader);
  if (hostHeader === "") {
    return invalid("host_header", `not host or host:port: ${JSON.stringify(upstream.hostHeader)}`);
  }
  const resilience = compileResilience(upstream);
  if (!resilience.ok) return resilience;
  const balancing = compileBalancing(upstream, algorithm);
  if (!balancing.ok) return balancing;
  const slots = upstream.slots ?? defaultSlots;
  if (slots < slotsMin || slots > slotsMax) {
    return invalid("slots", `${slots} is not between ${slotsMin} and ${slotsMax}`);
  }
  return compiled({
    key: `upstream:${upstream.id}`,
    name: upstream.name,
    hostHeader,
    isUpstream: true,
    algorithm,
    balancing: balancing.value,
    resilience: resilience.value,
    ...checks,
    overrides: [],
    weightBasis,
    usesSrvName: upstream.useSrvName ?? false,
    slots,
    members: [],
  });
}

/** `host` or `host:port` as a Host header, IPv6 in brackets; "" when it is neither. */
function readHostHeader(text: string): string {
  const host = parseHost(text);
  // Without port: as if any were implied.
  if (host !== null) return hostHeaderFor(host, 0, 0);
  const address = parseHostAndPort(text);
  return address === null ? "" : hostHeaderFor(address.host, address.port, -1);
}

/** What an upstream says of its targets. */
export interface TargetTerms {
  /** Whether one of weight 0 still gets some requests: those of its sessions. */
  readonly keepsWeightless: boolean;
  /** Requests under way at an endpoint of a target that says nothing of it; 0 = any number. */
  readonly maxInFlight: number;
}

export function targetTerms({ algorithm, balancing }: Upstream): TargetTerms {
  return {
    keepsWeightless: algorithm === Algorithm.STICKY_SESSIONS,
    maxInFlight: balancing?.inFlight?.maxPerEndpoint ?? 0,
  };
}

/** A target as a member of its pool; null for one of weight 0 that gets no requests. */
export function compileTarget(target: Target, terms: TargetTerms): Compiled<PoolMember | null> {
  const address = parseHostAndPort(target.target);
  if (address === null) return invalid("target", `not host:port: ${JSON.stringify(target.target)}`);
  const weight = target.weight ?? 100;
  if (weight < 0 || weight > 65_535) return invalid("weight", `${weight} is not between 0 and 65535`);
  const priority = target.priority ?? (target.failover === true ? 1 : 0);
  if (priority < 0 || priority > prioritiesMax) {
    return invalid("priority", `${priority} is not between 0 and ${prioritiesMax}`);
  }
  const maxInFlight = target.maxInFlight ?? terms.maxInFlight;
  if (target.maxInFlight !== undefined && !(maxInFlight >= 1 && maxInFlight <= inFlightMax)) {
    return invalid("max_in_flight", `${maxInFlight} is not between 1 and ${inFlightMax}`);
  }
  if (weight === 0 && !terms.keepsWeightless) return compiled(null);
  const { host, port } = address;
  return compiled({
    targetId: target.id,
    host,
    port,
    weight,
    priority,
    zone: target.zone ?? null,
    maxInFlight,
    impliedPort: 80,
  });
}
