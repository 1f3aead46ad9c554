import { HARD_LIMITS } from "../proto/hard-limits.ts";
import { IDENTITY_SETTINGS } from "./identity-options.ts";
import { LIMIT_SETTINGS } from "./limit-options.ts";
import { NAME_SETTINGS } from "./name-options.ts";
import {
  type Read,
  readAddress,
  readAddresses,
  readCount,
  readDuration,
  readLabels,
  readList,
  readOneOf,
  readRatio,
  readSwitch,
  readText,
  readUnlessEmpty,
  readUuid,
  readZone,
} from "./option-readers.ts";
import { limit, type Setting, setting } from "./option-setting.ts";
import { parseRange } from "./proxy/trusted-proxies.ts";
import { readReadyConditions } from "./ready-conditions.ts";
import { readSeedPlace } from "./seed.ts";
import { type LogLevel, logLevels } from "./telemetry/log.ts";
import { TLS_SETTINGS } from "./tls-options.ts";

const readRange: Read<string> = (text) =>
  parseRange(text) === null ? { ok: false, problem: "is no address range" } : { ok: true, value: text };

/** Every option of a data plane, in the order of the help. */
const SETTINGS = {
  controlPlanes: setting({
    flag: "control-plane",
    form: "HOST:PORT,...",
    defaultText: "127.0.0.1:8005",
    meaning: "control planes to take the configuration from; any of them will do",
    read: readAddresses,
  }),
  ...IDENTITY_SETTINGS,
  proxyListen: setting({
    flag: "proxy-listen",
    form: "HOST:PORT",
    defaultText: "0.0.0.0:8000",
    meaning: "where clients connect; the default also takes [::]:8000 where there is IPv6",
    read: readAddress,
  }),
  ...TLS_SETTINGS,
  statusListen: setting({
    flag: "status-listen",
    form: "HOST:PORT",
    defaultText: "127.0.0.1:8100",
    meaning: "/status, /status/ready, /names and /metrics",
    read: readAddress,
  }),
  readyWhen: setting({
    flag: "ready-when",
    form: "CONDITION,...",
    defaultText: "has-config,listeners-up",
    meaning:
      "what /status/ready asks: has-config, listeners-up, in-sync=TIME (served all that a control plane has, " +
      "at most so long ago), healthy-endpoint",
    read: readReadyConditions,
  }),
  stateDir: setting({
    flag: "state-dir",
    form: "FOLDER",
    defaultText: "./.penstock",
    meaning: "where state is kept, in its subfolder data-plane",
    read: readText,
  }),
  seed: setting({
    flag: "seed",
    form: "FILE|URL",
    defaultText: "",
    defaultMeaning: "none",
    meaning:
      "a configuration to start with where this node has none of its own, as GET /config/snapshot of a control " +
      "plane gives it; a file also where it is newer",
    read: readUnlessEmpty(readSeedPlace),
  }),
  nodeId: setting({
    flag: "node-id",
    form: "UUID",
    defaultText: "",
    defaultMeaning: "the one kept in the state folder, at first a new one",
    meaning: "identity of this node",
    read: readUnlessEmpty(readUuid),
  }),
  labels: setting({
    flag: "labels",
    form: "KEY=VALUE,...",
    defaultText: "",
    defaultMeaning: "none",
    meaning: "shown beside the node; what it may read never depends on them",
    read: readLabels,
  }),
  zone: setting({
    flag: "zone",
    form: "NAME",
    defaultText: "",
    defaultMeaning: "none",
    meaning: "where this node runs: upstreams may prefer targets of the same zone. Shown as the label zone",
    read: readUnlessEmpty(readZone),
  }),
  workers: setting({
    flag: "workers",
    form: "COUNT",
    defaultText: "",
    defaultMeaning: "one per core",
    meaning: "threads that carry traffic",
    read: readUnlessEmpty(readCount(1, 256)),
  }),
  workerMemoryMb: limit("worker-memory-mb", 1_024, 65_536, "heap of one worker, in MiB; over it, it is replaced"),
  accept: setting<"worker" | "main">({
    flag: "accept",
    form: "worker|main",
    defaultText: "worker",
    meaning: "the thread that accepts connections; main, where the system lets no threads share a port",
    read: readOneOf(["worker", "main"]),
  }),
  keepsSpareWorker: setting({
    flag: "spare-worker",
    form: "true|false",
    defaultText: "true",
    meaning: "one more worker waits, to take the place of one that is lost at once",
    read: readSwitch,
  }),
  upstreamIdleTimeoutMs: setting({
    flag: "upstream-idle-timeout",
    form: "TIME",
    defaultText: "60s",
    meaning: "how long a connection to a target is kept without a request; less than the targets keep it",
    read: readDuration,
  }),
  trustedProxies: setting({
    flag: "trusted-proxies",
    form: "CIDR,...",
    defaultText: "",
    defaultMeaning: "none",
    meaning: "whose X-Forwarded-*, Forwarded and X-Real-IP are believed: 10.0.0.0/8, fd00::/8 or single addresses",
    read: readList(readRange),
  }),
  debugFrom: setting({
    flag: "debug-from",
    form: "none|CIDR,...",
    defaultText: "127.0.0.0/8,::1",
    meaning: "clients whose requests are answered with their attempts if they send Penstock-Debug: attempts",
    read: (text) => (text === "none" ? { ok: true, value: [] } : readList(readRange)(text)),
  }),
  ...NAME_SETTINGS,
  drainTimeoutMs: setting({
    flag: "drain-timeout",
    form: "TIME",
    defaultText: "30s",
    meaning: "how long requests may go on after SIGTERM",
    read: readDuration,
  }),
  isTakeOver: setting({
    flag: "take-over",
    form: "",
    defaultText: "false",
    meaning: "share the proxy port with the process that has it, as soon as there is a configuration to serve",
    read: readSwitch,
  }),
  accessLog: setting({
    flag: "access-log",
    form: "off|stdout|FILE",
    defaultText: "off",
    meaning: "where one JSON line per request goes; a file is appended to, and opened again on SIGHUP",
    read: readText,
  }),
  accessLogSample: setting({
    flag: "access-log-sample",
    form: "RATIO",
    defaultText: "1",
    meaning: "share of the requests that went well to be logged, 0 to 1; all others always are",
    read: readRatio,
  }),
  metricsSeriesMax: limit(
    "metrics-series-max",
    500,
    100_000,
    'routes, and targets, with metrics of their own, not "other"',
  ),
  logLevel: setting<LogLevel>({
    flag: "log-level",
    form: logLevels.join("|"),
    defaultText: "info",
    meaning: "the least level that is logged",
    read: readOneOf(logLevels),
  }),
  ...LIMIT_SETTINGS,
  routesMax: limit(
    "routes-max",
    HARD_LIMITS.routesMax,
    HARD_LIMITS.routesMax,
    "routes in a configuration; with more, it is refused",
  ),
  servicesMax: limit("services-max", HARD_LIMITS.servicesMax, HARD_LIMITS.servicesMax, "services in a configuration"),
  upstreamsMax: limit(
    "upstreams-max",
    HARD_LIMITS.upstreamsMax,
    HARD_LIMITS.upstreamsMax,
    "upstreams in a configuration",
  ),
  targetsMax: limit("targets-max", HARD_LIMITS.targetsMax, HARD_LIMITS.targetsMax, "targets in a configuration"),
  certificatesMax: limit(
    "certificates-max",
    HARD_LIMITS.certificatesMax,
    HARD_LIMITS.certificatesMax,
    "certificates, and as many authorities",
  ),
  endpointsMax: limit("endpoints-max", 65_536, 4_000_000, "addresses that all targets together resolve to"),
};

type Settings = typeof SETTINGS;

/** Every flag, without dashes, for a command that hands on what it does not know itself. */
export const dataPlaneFlags: readonly string[] = Object.values(SETTINGS).map((one) => one.flag);

type SettingName = keyof Settings;

/** The value of every option. */
export type DataPlaneOptions = {
  readonly [K in SettingName]: Settings[K] extends Setting<infer T> ? T : never;
} & {
  /** Options that the user set, in either way. */
  readonly given: ReadonlySet<SettingName>;
};

export type ParsedOptions =
  | { readonly type: "options"; readonly options: DataPlaneOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

/** Reads the command line and, where it is silent, the environment. */
export function parseOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedOptions {
  const { texts, wantsHelp, problems } = readArguments(argv);
  if (wantsHelp) return { type: "help", text: helpText() };
  const values: Record<string, unknown> = {};
  const given = new Set<SettingName>();
  for (const [name, { flag, defaultText, read }] of Object.entries(SETTINGS)) {
    const fromFlag = texts.get(flag);
    // An empty variable is how scripts and compose files leave one out.
    const fromEnv = env[envName(flag)] || undefined;
    const text = fromFlag ?? fromEnv ?? defaultText;
    if (fromFlag !== undefined || fromEnv !== undefined) given.add(name as SettingName);
    const reading = read(text);
    if (reading.ok) values[name] = reading.value;
    else problems.push(`${fromFlag === undefined ? envName(flag) : `--${flag}`}: "${text}" ${reading.problem}`);
  }
  if (problems.length > 0) return { type: "problems", lines: problems };
  return { type: "options", options: { ...(values as Omit<DataPlaneOptions, "given">), given } };
}

function readArguments(argv: readonly string[]) {
  const byFlag = new Map<string, { readonly flag: string; readonly form: string }>(
    Object.values(SETTINGS).map((one) => [one.flag, one]),
  );
  const texts = new Map<string, string>();
  const problems: string[] = [];
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { texts, problems, wantsHelp: true };
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument);
    const known = byFlag.get(match?.[1] ?? "");
    if (known === undefined) {
      problems.push(`unknown option ${JSON.stringify(argument)}; see --help`);
      // What follows is most likely its value, and not a problem of its own.
      if (argument.startsWith("--") && !argument.includes("=") && rest[0]?.startsWith("--") === false) rest.shift();
      continue;
    }
    const hasOwnText = known.form !== "" && rest[0] !== undefined && !rest[0].startsWith("--");
    const text = match?.[2] ?? (known.form === "" ? "true" : hasOwnText ? rest.shift() : undefined);
    if (text === undefined) problems.push(`--${known.flag}: needs a value, ${known.form}`);
    else texts.set(known.flag, text);
  }
  return { texts, problems, wantsHelp: false };
}

function envName(flag: string): string {
  return `PENSTOCK_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function helpText(): string {
  const lines = [
    "Usage: penstock data-plane [options]",
    "",
    "Carries traffic by the configuration of a control plane.",
    "",
  ];
  for (const { flag, form, meaning, defaultText, defaultMeaning } of Object.values(SETTINGS)) {
    lines.push(`  --${flag}${form === "" ? "" : ` ${form}`}`);
    lines.push(`      ${meaning}`);
    lines.push(`      environment: ${envName(flag)}; default: ${defaultMeaning ?? defaultText}`);
  }
  lines.push("  --help", "      this text", "");
  return lines.join("\n");
}
