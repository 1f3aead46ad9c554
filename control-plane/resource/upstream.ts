import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { BalancingSchema } from "../../proto/gen/penstock/config/v1/balancing_pb.ts";
import {
  type ActiveHealthcheck,
  Algorithm,
  HashInput,
  HashInputSchema,
  HealthcheckType,
  type Upstream,
  UpstreamSchema,
} from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { checkBalancing } from "./balancing.ts";
import type { Problem } from "./checked.ts";
import type { Draft } from "./draft.ts";
import { enumSpelling, expectedOneOf } from "./enum-spelling.ts";
import { checkHeaders } from "./header-rules.ts";
import { checkNodeSelector } from "./node-selector.ts";
import { checkText, checkTexts, invalid } from "./problems.ts";
import { checkResilience, normalizeResilience } from "./resilience.ts";
import { distinct, nameKey, type ResourceRules } from "./resource-rules.ts";
import {
  checkCookieName,
  checkCookiePath,
  checkHeaderName,
  checkHostWithPort,
  checkPath,
  checkServerName,
  checkTag,
  checkUpstreamName,
} from "./text-rules.ts";
import { withoutEmptyRecords } from "./without-empty-records.ts";

const seconds = (count: bigint): Duration => create(DurationSchema, { seconds: count });

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const defaults: Upstream = create(UpstreamSchema, {
  algorithm: Algorithm.ROUND_ROBIN,
  hashOn: HashInput.NONE,
  hashFallback: HashInput.NONE,
  hashOnCookiePath: "/",
  slots: 10_000,
  useSrvName: false,
  healthchecks: {
    threshold: 0,
    active: {
      type: HealthcheckType.HTTP,
      timeout: seconds(1n),
      concurrency: 10,
      httpPath: "/",
      httpsVerifyCertificate: true,
      healthy: { interval: seconds(0n), httpStatuses: [200, 302], successes: 0 },
      unhealthy: {
        interval: seconds(0n),
        httpStatuses: [429, 404, ...range(500, 505)],
        tcpFailures: 0,
        timeouts: 0,
        httpFailures: 0,
      },
    },
    passive: {
      type: HealthcheckType.HTTP,
      healthy: { httpStatuses: [...range(200, 208), 226, ...range(300, 308)], successes: 0 },
      unhealthy: { httpStatuses: [429, 500, 503], tcpFailures: 0, timeouts: 0, httpFailures: 0 },
    },
  },
});

/**
 * A write that asks for hashing without naming an algorithm means consistent hashing, as in Kong. What a client named,
 * in this write or in one before, is left alone: Kong overrides it, and decK then finds a difference for ever.
 */
function withImplied(draft: Draft<Upstream>, stored: Upstream | null): Draft<Upstream> {
  const { hashOn } = draft.message;
  const asksForHashing = draft.paths.includes("hash_on") && hashOn !== undefined && hashOn !== HashInput.NONE;
  const isUntouched =
    stored === null || (stored.algorithm === Algorithm.ROUND_ROBIN && stored.hashOn === HashInput.NONE);
  if (!asksForHashing || !isUntouched || draft.paths.includes("algorithm")) return draft;
  return {
    message: { ...draft.message, algorithm: Algorithm.CONSISTENT_HASHING },
    paths: [...draft.paths, "algorithm"],
  };
}

function check(upstream: Upstream): readonly Problem[] {
  return [
    ...checkText("name", upstream.name, checkUpstreamName),
    ...checkText("hash_on_header", upstream.hashOnHeader, checkHeaderName),
    ...checkText("hash_fallback_header", upstream.hashFallbackHeader, checkHeaderName),
    ...checkText("hash_on_cookie", upstream.hashOnCookie, checkCookieName),
    ...checkText("hash_on_cookie_path", upstream.hashOnCookiePath, checkCookiePath),
    ...checkText("host_header", upstream.hostHeader, checkHostWithPort),
    ...checkNodeSelector(upstream.nodeSelector),
    ...checkTexts("tags", upstream.tags, checkTag),
    ...checkActive(upstream.healthchecks?.active),
    ...checkHashing(upstream),
    ...checkBalancing(upstream),
    ...checkResilience("resilience", upstream.resilience),
  ];
}

function checkActive(active: ActiveHealthcheck | undefined): readonly Problem[] {
  if (active === undefined) return [];
  const path = "healthchecks.active";
  return [
    ...checkText(`${path}.http_path`, active.httpPath, checkPath),
    ...checkText(`${path}.https_sni`, active.httpsSni, checkServerName),
    ...checkHeaders(`${path}.headers`, active.headers, (value) => (value === "" ? "length must be at least 1" : null)),
  ];
}

/** The fields that a hash input needs, for hash_on and for hash_fallback. */
const inputFields = [
  { input: HashInput.HEADER, hash_on: "hash_on_header", hash_fallback: "hash_fallback_header" },
  { input: HashInput.COOKIE, hash_on: "hash_on_cookie", hash_fallback: "hash_on_cookie" },
  { input: HashInput.QUERY_ARG, hash_on: "hash_on_query_arg", hash_fallback: "hash_fallback_query_arg" },
  { input: HashInput.URI_CAPTURE, hash_on: "hash_on_uri_capture", hash_fallback: "hash_fallback_uri_capture" },
] as const;

const everyInput = Object.values(HashInput).filter((input) => input !== HashInput.UNSPECIFIED);

/** What may be the fallback of a hash_on; absent = anything. The same header or argument twice makes no sense. */
const allowedFallbacks: ReadonlyMap<HashInput, readonly HashInput[]> = new Map([
  [HashInput.NONE, [HashInput.NONE]],
  // A request without the cookie is given one, so that a fallback would never be used.
  [HashInput.COOKIE, [HashInput.NONE]],
  ...[HashInput.CONSUMER, HashInput.IP, HashInput.PATH].map((input): [HashInput, readonly HashInput[]] => [
    input,
    everyInput.filter((other) => other !== input),
  ]),
]);

function checkHashing(upstream: Upstream): readonly Problem[] {
  const texts: Readonly<Record<string, string | undefined>> = {
    hash_on_header: upstream.hashOnHeader,
    hash_fallback_header: upstream.hashFallbackHeader,
    hash_on_cookie: upstream.hashOnCookie,
    hash_on_query_arg: upstream.hashOnQueryArg,
    hash_fallback_query_arg: upstream.hashFallbackQueryArg,
    hash_on_uri_capture: upstream.hashOnUriCapture,
    hash_fallback_uri_capture: upstream.hashFallbackUriCapture,
  };
  const problems: Problem[] = [];
  const refuse = (given: string, field: string, message: string) =>
    problems.push(
      invalid("", `failed conditional validation given value of field '${given}'`),
      invalid(field, message),
    );

  for (const { input, hash_on, hash_fallback } of inputFields) {
    if (upstream.hashOn === input && texts[hash_on] === undefined) refuse("hash_on", hash_on, "required field missing");
    if (upstream.hashFallback === input && texts[hash_fallback] === undefined)
      refuse("hash_fallback", hash_fallback, "required field missing");
    // The same field serves both for cookies, and cannot differ from itself.
    const isRepeated =
      hash_on !== hash_fallback && texts[hash_on] !== undefined && texts[hash_on] === texts[hash_fallback];
    if (isRepeated)
      problems.push(invalid("", `values of these fields must be distinct: '${hash_on}', '${hash_fallback}'`));
  }
  const allowed = upstream.hashOn === undefined ? undefined : allowedFallbacks.get(upstream.hashOn);
  if (allowed !== undefined && upstream.hashFallback !== undefined && !allowed.includes(upstream.hashFallback))
    refuse(
      "hash_on",
      "hash_fallback",
      expectedOneOf(allowed.map((input) => enumSpelling(HashInputSchema, input) ?? "")),
    );
  return problems;
}

function normalize({ resilience, balancing, ...upstream }: Upstream): Upstream {
  const keptResilience = normalizeResilience(resilience);
  const keptBalancing = balancing === undefined ? undefined : withoutEmptyRecords(BalancingSchema, balancing);
  return {
    ...upstream,
    ...(keptResilience === undefined ? {} : { resilience: keptResilience }),
    ...(keptBalancing === undefined ? {} : { balancing: keptBalancing }),
    nodeSelector: distinct(upstream.nodeSelector),
    tags: distinct(upstream.tags),
  };
}

/** Rules of upstreams. */
export const upstreamRules: ResourceRules<"upstream"> = {
  kind: "upstream",
  collection: "upstreams",
  schema: UpstreamSchema,
  defaults,
  required: [
    "name",
    "healthchecks",
    "healthchecks.active",
    "healthchecks.active.healthy",
    "healthchecks.active.unhealthy",
    "healthchecks.passive",
    "healthchecks.passive.healthy",
    "healthchecks.passive.unhealthy",
  ],
  references: [{ path: "client_certificate", toKind: "certificate", toCollection: "certificates" }],
  secrets: [],
  withImplied,
  normalize,
  check,
  uniqueKeys: (upstream) => nameKey(upstream.name),
};
