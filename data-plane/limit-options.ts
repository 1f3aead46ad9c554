import { readCount, readDuration, readUnlessEmpty } from "./option-readers.ts";
import { bytesLimit, limit, setting, timeLimit } from "./option-setting.ts";
import { type ClientLimits, defaultClientLimits } from "./proxy/client-limits.ts";

const mebibyte = 1_048_576;

/** The limits on what clients may do and on what the node takes on, in the order of the help. */
export const LIMIT_SETTINGS = {
  headMaxBytes: bytesLimit("head-max-bytes", 32_768, mebibyte, "request line and headers together; with more, 431"),
  fieldMaxCount: limit("headers-max", 100, 10_000, "headers of a request; with more, 431"),
  targetMaxBytes: bytesLimit("uri-max-bytes", 8_192, mebibyte, "path and query of a request; with more, 414"),
  bodyMaxBytes: setting({
    flag: "body-max-bytes",
    form: "BYTES",
    defaultText: "",
    defaultMeaning: "no limit",
    meaning: "request body, where the route says nothing; with more, 413",
    read: readUnlessEmpty(readCount(0, Number.MAX_SAFE_INTEGER)),
  }),
  totalTimeoutMs: setting({
    flag: "total-timeout",
    form: "TIME",
    defaultText: "",
    defaultMeaning: "no limit",
    meaning: "a request over all its attempts, where the route says nothing; after it, 504",
    read: readUnlessEmpty(readDuration),
  }),
  headTimeoutMs: timeLimit("head-timeout", "10s", "from a request's first byte to the end of its head; after it, 408"),
  keepAliveTimeoutMs: timeLimit("keep-alive-timeout", "60s", "how long a connection is kept without a request"),
  bodyMinBytesPerSecond: bytesLimit("body-min-rate", 240, mebibyte, "per second: slower senders of a body get 408"),
  readMinBytesPerSecond: bytesLimit("read-min-rate", 240, mebibyte, "per second: slower takers of an answer are cut"),
  rateGraceMs: timeLimit("rate-grace", "10s", "how long a client may be slower than these rates, or pause"),
  continueTimeoutMs: timeLimit("continue-timeout", "1s", "for a target to ask for a body that its client holds back"),
  tunnelIdleTimeoutMs: timeLimit(
    "tunnel-idle-timeout",
    "300s",
    "for either side of a websocket to send or take something",
  ),
  pipelinedMaxBytes: bytesLimit("pipelined-max-bytes", 65_536, 16 * mebibyte, "sent ahead by a client before it waits"),
  pipelinedMaxCount: limit("pipelined-max", 100, 100_000, "requests of one client that are taken before others' turn"),
  lingerTimeoutMs: timeLimit(
    "linger-timeout",
    "2s",
    "how long a connection that we end is read, so that the answer arrives",
  ),
  lingerMaxBytes: bytesLimit(
    "linger-max-bytes",
    mebibyte,
    1_024 * mebibyte,
    "thrown away of a refused request meanwhile",
  ),
  discardMaxBytes: bytesLimit(
    "discard-max-bytes",
    65_536,
    1_024 * mebibyte,
    "thrown away of a body to keep a connection",
  ),
  connectionMaxCount: setting({
    flag: "connections-max",
    form: "COUNT",
    defaultText: "",
    defaultMeaning: `${defaultClientLimits.connectionMaxCount}`,
    meaning: "connections of clients at once, never more than open files are enough for; more are closed unread",
    read: readUnlessEmpty(readCount(1, 10_000_000)),
  }),
  addressConnectionMaxCount: limit(
    "connections-per-address-max",
    8_192,
    10_000_000,
    "of one address that is not trusted",
  ),
  shedLagMs: timeLimit("shed-lag", "250ms", "lag of a worker that does not go down for a second: requests get 503"),
  shedMemoryPercent: limit("shed-memory-percent", 90, 100, "of the memory limit: above it requests get 503"),
  memoryLimitMb: setting({
    flag: "memory-limit-mb",
    form: "COUNT",
    defaultText: "",
    defaultMeaning: "the container's limit, or all of the machine's memory",
    meaning: "memory of the whole process, in MiB, for the option before",
    read: readUnlessEmpty(readCount(1, 16_777_216)),
  }),
};

type LimitOptions = {
  readonly [K in Exclude<keyof typeof LIMIT_SETTINGS, "shedMemoryPercent" | "memoryLimitMb">]: Extract<
    ReturnType<(typeof LIMIT_SETTINGS)[K]["read"]>,
    { readonly ok: true }
  >["value"];
};

/** What the options say of clients. */
export function clientLimits(options: LimitOptions): ClientLimits {
  const limits: Record<string, unknown> = { ...defaultClientLimits };
  for (const name of Object.keys(defaultClientLimits)) {
    if (name in LIMIT_SETTINGS) limits[name] = options[name as keyof LimitOptions];
  }
  return {
    ...(limits as unknown as ClientLimits),
    bodyMaxBytes: options.bodyMaxBytes ?? Number.POSITIVE_INFINITY,
    connectionMaxCount: options.connectionMaxCount ?? defaultClientLimits.connectionMaxCount,
  };
}
