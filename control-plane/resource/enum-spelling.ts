import type { DescEnum } from "@bufbuild/protobuf";
import {
  ClientAuthenticationMode,
  ClientAuthenticationModeSchema,
} from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import {
  InitialHealth,
  InitialHealthSchema,
  PanicMode,
  PanicModeSchema,
} from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { PathHandling, PathHandlingSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { Protocol, ProtocolSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import {
  Algorithm,
  AlgorithmSchema,
  HashInput,
  HashInputSchema,
  HealthcheckType,
  HealthcheckTypeSchema,
  WeightBasis,
  WeightBasisSchema,
} from "../../proto/gen/penstock/config/v1/upstream_pb.ts";

/**
 * How Kong spells the values of each enum, in the order in which its messages list them. Written out, because neither
 * the spelling (round-robin, but query_arg) nor the order follows from the names in the proto.
 */
const spellings: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map([
  [
    AlgorithmSchema.typeName,
    new Map([
      ["consistent-hashing", Algorithm.CONSISTENT_HASHING],
      ["least-connections", Algorithm.LEAST_CONNECTIONS],
      ["round-robin", Algorithm.ROUND_ROBIN],
      ["latency", Algorithm.LATENCY],
      ["sticky-sessions", Algorithm.STICKY_SESSIONS],
    ]),
  ],
  [
    HashInputSchema.typeName,
    new Map([
      ["none", HashInput.NONE],
      ["consumer", HashInput.CONSUMER],
      ["ip", HashInput.IP],
      ["header", HashInput.HEADER],
      ["cookie", HashInput.COOKIE],
      ["path", HashInput.PATH],
      ["query_arg", HashInput.QUERY_ARG],
      ["uri_capture", HashInput.URI_CAPTURE],
    ]),
  ],
  [
    HealthcheckTypeSchema.typeName,
    new Map([
      ["tcp", HealthcheckType.TCP],
      ["http", HealthcheckType.HTTP],
      ["https", HealthcheckType.HTTPS],
      ["grpc", HealthcheckType.GRPC],
      ["grpcs", HealthcheckType.GRPCS],
    ]),
  ],
  [
    ProtocolSchema.typeName,
    new Map([
      ["grpc", Protocol.GRPC],
      ["grpcs", Protocol.GRPCS],
      ["http", Protocol.HTTP],
      ["https", Protocol.HTTPS],
      ["tcp", Protocol.TCP],
      ["tls", Protocol.TLS],
      ["tls_passthrough", Protocol.TLS_PASSTHROUGH],
      ["udp", Protocol.UDP],
    ]),
  ],
  [
    PathHandlingSchema.typeName,
    new Map([
      ["v0", PathHandling.V0],
      ["v1", PathHandling.V1],
    ]),
  ],
  [
    ClientAuthenticationModeSchema.typeName,
    new Map([
      ["required", ClientAuthenticationMode.REQUIRED],
      ["optional", ClientAuthenticationMode.OPTIONAL],
    ]),
  ],
  [
    WeightBasisSchema.typeName,
    new Map([
      ["per_address", WeightBasis.PER_ADDRESS],
      ["per_target", WeightBasis.PER_TARGET],
    ]),
  ],
  [
    PanicModeSchema.typeName,
    new Map([
      ["fail_open", PanicMode.FAIL_OPEN],
      ["fail_closed", PanicMode.FAIL_CLOSED],
      ["last_good", PanicMode.LAST_GOOD],
    ]),
  ],
  [
    InitialHealthSchema.typeName,
    new Map([
      ["healthy", InitialHealth.HEALTHY],
      ["unhealthy", InitialHealth.UNHEALTHY],
    ]),
  ],
]);

/** Every spelling of an enum's values, in Kong's order; the value that means "not set" has none. */
export function enumSpellings(desc: DescEnum): readonly string[] {
  return [...spellingsOf(desc).keys()];
}

/** The number of a spelling; undefined when the enum has no such value. */
export function enumFromSpelling(desc: DescEnum, spelling: string): number | undefined {
  return spellingsOf(desc).get(spelling);
}

/** How a value is spelled; undefined when the enum has no such value, or it is the one that means "not set". */
export function enumSpelling(desc: DescEnum, value: number): string | undefined {
  for (const [spelling, candidate] of spellingsOf(desc)) if (candidate === value) return spelling;
  return undefined;
}

/** Kong's message for a value that is none of an enum's. */
export function expectedOneOf(choices: readonly (string | number)[]): string {
  return `expected one of: ${choices.join(", ")}`;
}

function spellingsOf(desc: DescEnum): ReadonlyMap<string, number> {
  const found = spellings.get(desc.typeName);
  if (found === undefined) throw new Error(`enum ${desc.typeName} has no spellings`);
  return found;
}
