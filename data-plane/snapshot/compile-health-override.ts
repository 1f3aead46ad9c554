import { isIP } from "node:net";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HealthOverride } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { canonicalAddress } from "../upstream/canonical-address.ts";
import type { HealthOverridePlan } from "../upstream/pool-plan.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { parseHostAndPort } from "./host-and-port.ts";

/** What a person decided of a target's health, as its pool gets it. */
export function compileHealthOverride(override: HealthOverride): Compiled<HealthOverridePlan> {
  const targetId = override.target?.id ?? "";
  if (targetId === "") return invalid("target", "is missing");
  const place = override.address === "" ? null : parseHostAndPort(override.address);
  if (override.address !== "" && (place === null || isIP(place.host) === 0)) {
    return invalid("address", `not ip:port: ${JSON.stringify(override.address)}`);
  }
  return compiled({
    id: override.id,
    targetId,
    endpoint: place === null ? null : { address: canonicalAddress(place.host), port: place.port },
    isHealthy: override.healthy,
    expiresAtMs: override.expiresAt === undefined ? null : unixMs(override.expiresAt),
    decidedAtMs: override.decidedAt === undefined ? 0 : unixMs(override.decidedAt),
  });
}

/** The last moment of the year 9999, where protobuf's timestamps end; dates end soon after. */
const timeMaxMs = 253_402_300_799_999;

/** From 1970 to the year 9999: it is shown as a date, also in a timer, where one that is none would end the node. */
function unixMs({ seconds, nanos }: Timestamp): number {
  return Math.min(Math.max(0, Number(seconds) * 1_000 + nanos / 1e6), timeMaxMs);
}
