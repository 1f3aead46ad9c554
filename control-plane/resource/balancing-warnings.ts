import { isDeepStrictEqual } from "node:util";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  Algorithm,
  AlgorithmSchema,
  HashInput,
  type Upstream,
  UpstreamSchema,
} from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { enumSpelling } from "./enum-spelling.ts";
import { valueAt } from "./message-fields.ts";
import type { Warning } from "./stored-only-warnings.ts";
import { upstreamRules } from "./upstream.ts";

/** The fields that only one algorithm reads. */
const fieldsOfAlgorithm: readonly (readonly [Algorithm, readonly string[]])[] = [
  [
    Algorithm.CONSISTENT_HASHING,
    [
      "hash_on",
      "hash_fallback",
      "hash_on_header",
      "hash_fallback_header",
      "hash_on_cookie",
      "hash_on_cookie_path",
      "hash_on_query_arg",
      "hash_fallback_query_arg",
      "hash_on_uri_capture",
      "hash_fallback_uri_capture",
      "slots",
    ],
  ],
  [Algorithm.STICKY_SESSIONS, ["sticky_sessions_cookie", "sticky_sessions_cookie_path"]],
];

/**
 * Warnings of what a write sets and what, with the rest of the upstream, has no effect or another one than it seems.
 *
 * @param paths what the write sets; a path of a record stands for all that is in it
 */
export function balancingWarnings(upstream: Upstream, paths: readonly string[]): readonly Warning[] {
  const isWritten = (field: string) => paths.some((path) => field === path || field.startsWith(`${path}.`));
  return [
    ...unreadFields(upstream).filter(({ field }) => isWritten(field)),
    ...combinations(upstream).flatMap(({ message, fields }) =>
      fields.some(isWritten) ? [{ field: fields[0]!, message }] : [],
    ),
  ];
}

/** Values equal to the default give none, since clients of Kong fill in every default on each write. */
function unreadFields(upstream: Upstream): readonly Warning[] {
  const algorithm = upstream.algorithm ?? Algorithm.ROUND_ROBIN;
  const message = `has no effect with the algorithm ${enumSpelling(AlgorithmSchema, algorithm)}`;
  return fieldsOfAlgorithm
    .filter(([reader]) => reader !== algorithm)
    .flatMap(([, fields]) => fields)
    .filter((field) => {
      const value = valueAt(UpstreamSchema, upstream, field);
      return value !== undefined && !isDeepStrictEqual(value, valueAt(UpstreamSchema, upstreamRules.defaults, field));
    })
    .map((field) => ({ field, message }));
}

/** @returns each with the fields that make it; the first of them is the one that is told */
function combinations({
  algorithm,
  hashOn = HashInput.NONE,
  balancing,
}: Upstream): readonly { readonly message: string; readonly fields: readonly string[] }[] {
  const isHashing = algorithm === Algorithm.CONSISTENT_HASHING;
  const { slowStart, zones, inFlight } = balancing ?? {};
  const shapes = slowStart?.minWeight !== undefined || slowStart?.aggression !== undefined;
  const waits = (inFlight?.queueSize ?? 0) > 0;
  const isLimited = inFlight?.max !== undefined || inFlight?.maxPerEndpoint !== undefined;
  const candidates = [
    {
      isThere: isHashing && hashOn === HashInput.NONE,
      message: "nothing is named to be hashed: the client's address is",
      fields: ["hash_on", "algorithm"],
    },
    {
      isThere: isHashing && zones?.preferLocal === true,
      message: "nodes in different zones send the same hash to different targets",
      fields: ["balancing.zones.prefer_local", "algorithm"],
    },
    {
      isThere: zones?.spillThreshold !== undefined && zones.preferLocal !== true,
      message: "has no effect without prefer_local",
      fields: ["balancing.zones.spill_threshold", "balancing.zones.prefer_local"],
    },
    {
      isThere: shapes && (slowStart?.window === undefined || durationMs(slowStart.window) === 0),
      message: "there is no slow start without a window above 0",
      fields: ["balancing.slow_start.window", "balancing.slow_start.min_weight", "balancing.slow_start.aggression"],
    },
    {
      isThere: waits && !isLimited,
      message: "no request waits without max or max_per_endpoint, but for targets with a max_in_flight of their own",
      fields: ["balancing.in_flight.queue_size", "balancing.in_flight.max", "balancing.in_flight.max_per_endpoint"],
    },
  ];
  return candidates.filter(({ isThere }) => isThere);
}
