import { createHash } from "node:crypto";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { InitialHealth, type ProbePolicy } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import {
  type ActiveHealthcheck,
  HealthcheckType,
  type PassiveHealthcheck,
  type Upstream,
} from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import {
  type ActiveCheckConfig,
  type CheckThresholds,
  type PassiveCheckConfig,
  type ProbeConfig,
  type ProbeType,
  StatusKind,
  type StatusKinds,
  statusesMax,
} from "../config/health-check-config.ts";
import type { KeyPairConfig } from "../config/tls-config.ts";
import { type Compiled, compiled, invalid } from "./entity-problem.ts";
import { parseHost, parseHostAndPort } from "./host-and-port.ts";

export interface Checks {
  readonly passive: PassiveCheckConfig | null;
  readonly activeCheck: ActiveCheckConfig | null;
}

const probeTypes: ReadonlyMap<HealthcheckType, ProbeType> = new Map([
  [HealthcheckType.HTTP, "http"],
  [HealthcheckType.HTTPS, "https"],
  [HealthcheckType.TCP, "tcp"],
  [HealthcheckType.GRPC, "grpc"],
  [HealthcheckType.GRPCS, "grpcs"],
]);

const defaults = {
  timeoutMs: 1_000,
  concurrency: 10,
  jitterRatio: 0.1,
  goodProbeStatuses: [200, 302],
  badProbeStatuses: [429, 404, 500, 501, 502, 503, 504, 505],
  goodStatuses: [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308],
  badStatuses: [429, 500, 503],
};
/** Whatever is asked for, nobody is probed more often than this. Kong's own clock ticks every 100 ms. */
const intervalMinMs = 20;
const intervalMaxMs = 65_535_000;

/** The health checks of a snapshot's upstreams. Equal lists of statuses become one object, and so cross to workers once. */
export class CheckCompilation {
  readonly #statusKinds = new Map<string, StatusKinds>();

  /** @param clientPairs what the upstream's targets are shown */
  compile(upstream: Upstream, clientPairs: readonly KeyPairConfig[]): Compiled<Checks> {
    const passive = this.#passive(upstream.healthchecks?.passive);
    if (!passive.ok) return passive;
    const active = this.#active(upstream, clientPairs);
    if (!active.ok) return active;
    return compiled({ passive: passive.value, activeCheck: active.value });
  }

  #passive(check: PassiveHealthcheck | undefined): Compiled<PassiveCheckConfig | null> {
    const path = "healthchecks.passive";
    const thresholds = compileThresholds(check?.healthy?.successes, check?.unhealthy, path);
    if (!thresholds.ok) return thresholds;
    const type = check?.type ?? HealthcheckType.HTTP;
    if (!probeTypes.has(type)) return invalid(`${path}.type`, `unknown type number ${type}`);
    if (Object.values(thresholds.value).every((threshold) => threshold === 0)) return compiled(null);
    const kinds = this.#kindsOfLists(
      listed(check?.healthy?.httpStatuses, defaults.goodStatuses),
      listed(check?.unhealthy?.httpStatuses, defaults.badStatuses),
    );
    return compiled({
      readsStatuses: type !== HealthcheckType.TCP,
      statusKinds: kinds,
      thresholds: thresholds.value,
    });
  }

  #active(upstream: Upstream, clientPairs: readonly KeyPairConfig[]): Compiled<ActiveCheckConfig | null> {
    const path = "healthchecks.active";
    const check = upstream.healthchecks?.active;
    const policy = upstream.resilience?.probe;
    const healthyIntervalMs = intervalMs(check?.healthy?.interval);
    const unhealthyIntervalMs = intervalMs(check?.unhealthy?.interval);
    if (check === undefined || (healthyIntervalMs === 0 && unhealthyIntervalMs === 0)) return compiled(null);
    const thresholds = compileThresholds(check.healthy?.successes, check.unhealthy, path);
    if (!thresholds.ok) return thresholds;
    const probe = compileProbe({ upstream, check, policy, clientPairs });
    if (!probe.ok) return probe;
    const statusKinds = this.#probeKinds(check, policy);
    if (!statusKinds.ok) return statusKinds;
    const jitterRatio = policy?.jitter ?? defaults.jitterRatio;
    if (!(jitterRatio >= 0 && jitterRatio <= 1)) return invalid("resilience.probe.jitter", "must be between 0 and 1");
    const concurrency = check.concurrency ?? defaults.concurrency;
    if (concurrency < 1) return invalid(`${path}.concurrency`, "must be at least 1");
    const canComeIn = unhealthyIntervalMs > 0 && thresholds.value.successes > 0;
    return compiled({
      probe: probe.value,
      statusKinds: statusKinds.value,
      thresholds: thresholds.value,
      healthyIntervalMs,
      unhealthyIntervalMs,
      concurrency,
      jitterRatio,
      // What no probe could ever bring in would be out for good.
      startsOut: policy?.initial === InitialHealth.UNHEALTHY && canComeIn,
    });
  }

  #probeKinds(check: ActiveHealthcheck, policy: ProbePolicy | undefined): Compiled<StatusKinds> {
    const ranges = policy?.statusRanges ?? [];
    if (ranges.length === 0) {
      return compiled(
        this.#kindsOfLists(
          listed(check.healthy?.httpStatuses, defaults.goodProbeStatuses),
          listed(check.unhealthy?.httpStatuses, defaults.badProbeStatuses),
        ),
      );
    }
    const kinds = new Uint8Array(statusesMax).fill(StatusKind.Bad);
    for (const [i, range] of ranges.entries()) {
      const read = readStatusRange(range);
      if (read === null) {
        return invalid(
          `resilience.probe.status_ranges[${i}]`,
          `neither a status nor a range: ${JSON.stringify(range)}`,
        );
      }
      kinds.fill(StatusKind.Good, read.first, read.last + 1);
    }
    return compiled(this.#shared(kinds));
  }

  /** A status in both lists is good, as in Kong. */
  #kindsOfLists(good: readonly number[], bad: readonly number[]): StatusKinds {
    const kinds = new Uint8Array(statusesMax);
    for (const status of bad) kinds[status] = StatusKind.Bad;
    for (const status of good) kinds[status] = StatusKind.Good;
    return this.#shared(kinds);
  }

  #shared(kinds: StatusKinds): StatusKinds {
    const key = Buffer.from(kinds).toString("latin1");
    const known = this.#statusKinds.get(key);
    if (known !== undefined) return known;
    this.#statusKinds.set(key, kinds);
    return kinds;
  }
}

interface ProbeInput {
  readonly upstream: Upstream;
  readonly check: ActiveHealthcheck;
  readonly policy: ProbePolicy | undefined;
  readonly clientPairs: readonly KeyPairConfig[];
}

function compileProbe({ upstream, check, policy, clientPairs }: ProbeInput): Compiled<ProbeConfig> {
  const path = "healthchecks.active";
  const type = probeTypes.get(check.type ?? HealthcheckType.HTTP);
  if (type === undefined) return invalid(`${path}.type`, `unknown type number ${check.type}`);
  const httpPath = check.httpPath ?? "/";
  if (!httpPath.startsWith("/")) return invalid(`${path}.http_path`, 'must begin with "/"');
  const method = policy?.method ?? "GET";
  if (!isToken(method)) return invalid("resilience.probe.method", "is not a method");
  const port = policy?.port ?? null;
  if (port !== null && (port < 1 || port > 65_535)) return invalid("resilience.probe.port", "must be 1 to 65535");
  const headers: { name: string; value: string }[] = [];
  for (const [name, { values }] of Object.entries(check.headers)) {
    if (!isToken(name)) return invalid(`${path}.headers`, `not a header name: ${JSON.stringify(name)}`);
    headers.push(...values.map((value) => ({ name, value: onOneLine(value) })));
  }
  const isHttp = type === "http" || type === "https";
  const isTls = type === "https" || type === "grpcs";
  const sent = {
    type,
    timeoutMs: Math.min(Math.ceil(msOf(check.timeout)), intervalMaxMs) || defaults.timeoutMs,
    port,
    method: isHttp ? method : "",
    path: isHttp ? requestTarget(httpPath) : "",
    headers: isHttp ? headers : [],
    hostHeader: type === "tcp" ? null : (upstream.hostHeader ?? null),
    serverName: isTls ? (check.httpsSni ?? hostOf(upstream.hostHeader)) : null,
    isVerified: isTls && (check.httpsVerifyCertificate ?? true),
    clientPairs: isTls ? clientPairs : [],
    bodyContains: isHttp ? (policy?.bodyContains ?? null) : null,
    grpcService: isHttp || type === "tcp" ? "" : (policy?.grpcService ?? ""),
  };
  const key = createHash("sha256").update(JSON.stringify(sent)).digest("base64");
  return compiled({ key, ...sent });
}

type UnhealthyCounts = { readonly httpFailures?: number; readonly tcpFailures?: number; readonly timeouts?: number };

function compileThresholds(
  successes: number | undefined,
  unhealthy: UnhealthyCounts | undefined,
  path: string,
): Compiled<CheckThresholds> {
  const fields = {
    "healthy.successes": successes,
    "unhealthy.http_failures": unhealthy?.httpFailures,
    "unhealthy.tcp_failures": unhealthy?.tcpFailures,
    "unhealthy.timeouts": unhealthy?.timeouts,
  };
  for (const [field, threshold = 0] of Object.entries(fields)) {
    if (threshold < 0 || threshold > 255) return invalid(`${path}.${field}`, `${threshold} is not between 0 and 255`);
  }
  return compiled({
    successes: successes ?? 0,
    httpFailures: unhealthy?.httpFailures ?? 0,
    tcpFailures: unhealthy?.tcpFailures ?? 0,
    timeouts: unhealthy?.timeouts ?? 0,
  });
}

/** "200" or "200-399", each 100 to 999; null when it is neither. */
function readStatusRange(text: string): { readonly first: number; readonly last: number } | null {
  const match = /^([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?$/.exec(text);
  if (match === null) return null;
  const first = Number(match[1]);
  const last = Number(match[2] ?? first);
  return last >= first ? { first, last } : null;
}

function listed(statuses: readonly number[] | undefined, otherwise: readonly number[]): readonly number[] {
  return statuses === undefined || statuses.length === 0 ? otherwise : statuses;
}

function intervalMs(duration: Duration | undefined): number {
  const ms = msOf(duration);
  return ms <= 0 ? 0 : Math.min(Math.max(ms, intervalMinMs), intervalMaxMs);
}

function msOf(duration: Duration | undefined): number {
  return duration === undefined ? 0 : Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

function hostOf(hostHeader: string | undefined): string | null {
  if (hostHeader === undefined) return null;
  return parseHost(hostHeader) ?? parseHostAndPort(hostHeader)?.host ?? null;
}

function isToken(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text);
}

/** The control plane lets any text through as a value: what would end the line becomes a space. */
function onOneLine(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  return value.replaceAll(/[\u0000-\u001f\u007f]+/g, " ");
}

/** What may not stand in a request line is escaped. */
function requestTarget(path: string): string {
  return path.replaceAll(/[^\u0021-\u007e]+/gu, (text) => encodeURIComponent(text.toWellFormed()));
}
