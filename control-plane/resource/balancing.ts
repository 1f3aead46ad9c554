import type { Balancing } from "../../proto/gen/penstock/config/v1/balancing_pb.ts";
import { Algorithm, type Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Problem } from "./checked.ts";
import { checkText, checkWholeMs, invalid } from "./problems.ts";
import { checkCookieName, checkCookiePath } from "./text-rules.ts";

/** What the proto's rules cannot say of which endpoints of an upstream get requests; hashing has a file of its own. */
export function checkBalancing(upstream: Upstream): readonly Problem[] {
  return [
    ...checkStickySessions(upstream),
    ...checkDurations(upstream.balancing),
    ...checkQueue(upstream.balancing),
    ...checkBoundedLoad(upstream),
  ];
}

function checkStickySessions(upstream: Upstream): readonly Problem[] {
  const cookie = "sticky_sessions_cookie";
  const isMissing = upstream.algorithm === Algorithm.STICKY_SESSIONS && upstream.stickySessionsCookie === undefined;
  return [
    ...checkText(cookie, upstream.stickySessionsCookie, checkCookieName),
    ...checkText(`${cookie}_path`, upstream.stickySessionsCookiePath, checkCookiePath),
    ...(isMissing
      ? [
          invalid("", "failed conditional validation given value of field 'algorithm'"),
          invalid(cookie, "required field missing"),
        ]
      : []),
  ];
}

function checkDurations(balancing: Balancing | undefined): readonly Problem[] {
  return [
    ...checkWholeMs("balancing.failover.fail_back_delay", balancing?.failover?.failBackDelay),
    ...checkWholeMs("balancing.slow_start.window", balancing?.slowStart?.window),
    ...checkWholeMs("balancing.in_flight.queue_timeout", balancing?.inFlight?.queueTimeout),
  ];
}

function checkQueue(balancing: Balancing | undefined): readonly Problem[] {
  const { queueSize, queueTimeout } = balancing?.inFlight ?? {};
  if (queueSize !== undefined && queueSize > 0 && queueTimeout === undefined)
    return [invalid("balancing.in_flight.queue_timeout", "required with a queue_size above 0")];
  // A size of 0 turns the queue off, and may leave the rest of it as it was.
  if (queueTimeout !== undefined && queueSize === undefined)
    return [invalid("balancing.in_flight.queue_size", "required with queue_timeout")];
  return [];
}

function checkBoundedLoad({ algorithm, balancing }: Upstream): readonly Problem[] {
  if (balancing?.boundedLoad === undefined || algorithm === Algorithm.CONSISTENT_HASHING) return [];
  return [invalid("balancing.bounded_load", "can be set with the algorithm consistent-hashing only")];
}
