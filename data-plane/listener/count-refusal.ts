import { Problem } from "../http1/head-problem.ts";
import { Counter, type ProxyCounters } from "../proxy/proxy-counters.ts";

/** Counts a refused request, and the limit that it broke, if that was why. */
export function countRefusal(counters: ProxyCounters, problem: number): void {
  counters.add(Counter.rejected_requests);
  switch (problem) {
    case Problem.HeadTooLarge:
    case Problem.TrailerTooLarge:
      counters.add(Counter.limit_head_bytes);
      break;
    case Problem.TooManyFields:
      counters.add(Counter.limit_header_count);
      break;
    case Problem.TargetTooLong:
      counters.add(Counter.limit_uri_bytes);
      break;
  }
}
