import type { Target } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { Algorithm, type Upstream, WeightBasis } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { defaultBalancing } from "../config/balancing-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { hostHeaderFor } from "../upstream/host-header.ts";
import type { PoolMember, PoolPlan } from "../upstream/pool-plan.ts";
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
  return compiled({
    key: `upstream:${upstream.id}`,
    name: upstream.name,
    hostHeader,
    isUpstream: true,
    algorithm,
    balancing: defaultBalancing,
    resilience: resilience.value,
    ...checks,
    overrides: [],
    weightBasis,
    usesSrvName: upstream.useSrvName ?? false,
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

/** A target as a member of its pool; null for one of weight 0, which gets no requests. */
export function compileTarget(target: Target): Compiled<PoolMember | null> {
  const address = parseHostAndPort(target.target);
  if (address === null) return invalid("target", `not host:port: ${JSON.stringify(target.target)}`);
  const weight = target.weight ?? 100;
  if (weight < 0 || weight > 65_535) return invalid("weight", `${weight} is not between 0 and 65535`);
  if (weight === 0) return compiled(null);
  const { host, port } = address;
  return compiled({
    targetId: target.id,
    host,
    port,
    weight,
    priority: 0,
    zone: null,
    maxInFlight: 0,
    impliedPort: 80,
  });
}
