import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Balancing } from "../../proto/gen/penstock/config/v1/balancing_pb.ts";
import type { Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import {
  type BalancingConfig,
  type CookieConfig,
  defaultBalancing,
  type FailoverConfig,
  type InFlightConfig,
  type SlowStartConfig,
  type ZonesConfig,
} from "../config/balancing-config.ts";
import type { PoolConfig } from "../config/worker-config.ts";
import { compileHash } from "./compile-hash.ts";
import { cookieConfig, isCookieName } from "./cookie-config.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";

export const inFlightMax = 1_000_000;

const queueSizeMax = 100_000;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
const spillThresholdPercent = 70;
const minWeightPercent = 10;

/** Which endpoints of an upstream get requests, and how many at once: what is said of it, and the defaults. */
export function compileBalancing(upstream: Upstream, algorithm: PoolConfig["algorithm"]): Compiled<BalancingConfig> {
  const { balancing } = upstream;
  const hash = algorithm === "consistent-hashing" ? compileHash(upstream) : compiled(null);
  if (!hash.ok) return hash;
  const sticky = algorithm === "sticky-sessions" ? compileSticky(upstream) : compiled(null);
  if (!sticky.ok) return sticky;
  const failover = compileFailover(balancing);
  if (!failover.ok) return failover;
  const slowStart = compileSlowStart(balancing);
  if (!slowStart.ok) return slowStart;
  const zones = compileZones(balancing);
  if (!zones.ok) return zones;
  const inFlight = compileInFlight(balancing);
  if (!inFlight.ok) return inFlight;
  return compiled({
    hash: hash.value,
    sticky: sticky.value,
    failover: failover.value,
    slowStart: slowStart.value,
    zones: zones.value,
    inFlight: inFlight.value,
  });
}

function compileSticky({ stickySessionsCookie, stickySessionsCookiePath }: Upstream): Compiled<CookieConfig> {
  if (!isCookieName(stickySessionsCookie)) return invalid("sticky_sessions_cookie", "is missing, or no cookie's name");
  const cookie = cookieConfig(stickySessionsCookie, stickySessionsCookiePath);
  return cookie === null ? invalid("sticky_sessions_cookie_path", "is no path of a cookie") : compiled(cookie);
}

function compileFailover(balancing: Balancing | undefined): Compiled<FailoverConfig> {
  const path = "balancing.failover";
  const { overflowThreshold, failBackDelay } = balancing?.failover ?? {};
  const overflowThresholdPercent = overflowThreshold ?? defaultBalancing.failover.overflowThresholdPercent;
  if (!isWithin(overflowThresholdPercent, 0, 100)) {
    return invalid(`${path}.overflow_threshold`, "must be between 0 and 100");
  }
  const failBackDelayMs = msWithin(failBackDelay, 0, dayMs);
  if (failBackDelayMs === null) return invalid(`${path}.fail_back_delay`, `must be between 0 ms and ${dayMs} ms`);
  return compiled({ overflowThresholdPercent, failBackDelayMs });
}

function compileSlowStart(balancing: Balancing | undefined): Compiled<SlowStartConfig | null> {
  const path = "balancing.slow_start";
  const { window, minWeight = minWeightPercent, aggression = 1 } = balancing?.slowStart ?? {};
  const windowMs = msWithin(window, 0, dayMs);
  if (windowMs === null) return invalid(`${path}.window`, `must be between 0 ms and ${dayMs} ms`);
  if (!isWithin(minWeight, 0.1, 100)) return invalid(`${path}.min_weight`, "must be between 0.1 and 100");
  if (!isWithin(aggression, 0.1, 10)) return invalid(`${path}.aggression`, "must be between 0.1 and 10");
  return compiled(windowMs === 0 ? null : { windowMs, minRatio: minWeight / 100, aggression });
}

function compileZones(balancing: Balancing | undefined): Compiled<ZonesConfig | null> {
  const { preferLocal = false, spillThreshold = spillThresholdPercent } = balancing?.zones ?? {};
  if (!isWithin(spillThreshold, 0, 100)) {
    return invalid("balancing.zones.spill_threshold", "must be between 0 and 100");
  }
  return compiled(preferLocal ? { spillThresholdPercent: spillThreshold } : null);
}

function compileInFlight(balancing: Balancing | undefined): Compiled<InFlightConfig | null> {
  const path = "balancing.in_flight";
  const { max, maxPerEndpoint, queueSize = 0, queueTimeout } = balancing?.inFlight ?? {};
  if (max !== undefined && !isWithin(max, 1, inFlightMax)) {
    return invalid(`${path}.max`, `must be between 1 and ${inFlightMax}`);
  }
  if (maxPerEndpoint !== undefined && !isWithin(maxPerEndpoint, 1, inFlightMax)) {
    return invalid(`${path}.max_per_endpoint`, `must be between 1 and ${inFlightMax}`);
  }
  if (!isWithin(queueSize, 0, queueSizeMax)) {
    return invalid(`${path}.queue_size`, `must be between 0 and ${queueSizeMax}`);
  }
  const queueTimeoutMs = queueSize === 0 ? 0 : msWithin(queueTimeout, 1, hourMs);
  if (queueTimeoutMs === null) return invalid(`${path}.queue_timeout`, `must be between 1 ms and ${hourMs} ms`);
  return compiled(max === undefined && queueSize === 0 ? null : { max: max ?? null, queueSize, queueTimeoutMs });
}

/** False for NaN, too. */
function isWithin(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

/** A duration in milliseconds, a started one counted as whole, and 0 for none; null when it is out of range. */
function msWithin(duration: Duration | undefined, minMs: number, maxMs: number): number | null {
  const ms = duration === undefined ? 0 : Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1e6);
  return isWithin(ms, minMs, maxMs) ? ms : null;
}
