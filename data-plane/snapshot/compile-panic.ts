import { PanicMode } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import type { Upstream } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { defaultResilience, type PanicConfig } from "../config/resilience-config.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";

/**
 * What an upstream does when too few endpoints are left: our own policy where there is one, else Kong's threshold,
 * which answers 503, else what is on by default.
 */
export function compilePanic(upstream: Pick<Upstream, "resilience" | "healthchecks">): Compiled<PanicConfig> {
  const policy = upstream.resilience?.panic;
  const kongPercent = upstream.healthchecks?.threshold ?? 0;
  const ruledByKong = policy?.threshold === undefined && kongPercent > 0;
  const thresholdPercent = policy?.threshold ?? kongPercent;
  if (!(thresholdPercent >= 0 && thresholdPercent <= 100)) {
    const field = ruledByKong ? "healthchecks.threshold" : "resilience.panic.threshold";
    return invalid(field, `${thresholdPercent} is not between 0 and 100`);
  }
  switch (policy?.mode) {
    case undefined:
      if (ruledByKong) return compiled({ thresholdPercent, mode: "fail_closed" });
      // Who names a threshold wants the panic that goes by that name.
      return compiled({
        thresholdPercent,
        mode: policy?.threshold === undefined ? defaultResilience.panic.mode : "fail_open",
      });
    case PanicMode.FAIL_OPEN:
      return compiled({ thresholdPercent, mode: "fail_open" });
    case PanicMode.FAIL_CLOSED:
      return compiled({ thresholdPercent, mode: "fail_closed" });
    case PanicMode.LAST_GOOD:
      return compiled({ thresholdPercent, mode: "last_good" });
    default:
      return invalid("resilience.panic.mode", `unknown mode number ${policy?.mode}`);
  }
}
