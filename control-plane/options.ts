import { isIP } from "node:net";
import { dirname, join } from "node:path";
import type { ListenAddress } from "./api/bind-listen.ts";
import { isLoopback } from "./api/loopback-address.ts";
import { parseDuration } from "./api/rest/parse-duration.ts";
import type { SyncIdentityMode } from "./identity/open-sync-identity.ts";
import { readSyncIdentity, syncIdentitySettings } from "./sync-identity-options.ts";
import { type LogLevel, logLevels } from "./telemetry/log.ts";

/** The value of every option. */
export interface ControlPlaneOptions {
  readonly adminListen: ListenAddress;
  readonly syncListen: ListenAddress;
  /** The SQLite file. */
  readonly storePath: string;
  /** Further names of the admin port, lower-case. */
  readonly adminHosts: readonly string[];
  readonly logLevel: LogLevel;
  /** The file with the key that secrets are sealed with. */
  readonly secretKeyPath: string;
  /** Whether lists show private keys to who may read them. */
  readonly areSecretsInLists: boolean;
  /** Age at which the key of session tickets is replaced. */
  readonly ticketKeyRotationMs: number;
  /** How data planes are known on the sync port. */
  readonly syncIdentity: SyncIdentityMode;
  /** A data plane that has been behind, or away, for longer is stale. */
  readonly nodeStaleAfterMs: number;
  /** One that has been away for longer is listed no more. */
  readonly nodeForgetAfterMs: number;
}

export type ParsedOptions =
  | { readonly type: "options"; readonly options: ControlPlaneOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

/** An option as it stands in the help. The environment's name is made of its flag. */
interface Setting {
  readonly flag: string;
  /** What its value looks like; "" for a switch. */
  readonly form: string;
  readonly defaultText: string;
  /** The default in the help, where the text would say nothing. */
  readonly defaultMeaning?: string;
  readonly meaning: string;
}

/** Every option, in the order of the help. */
const settings = {
  adminListen: {
    flag: "admin-listen",
    form: "HOST:PORT",
    defaultText: "127.0.0.1:8001",
    meaning: "REST, gRPC, gRPC-Web and Connect; the default also takes [::1] where there is IPv6",
  },
  syncListen: {
    flag: "sync-listen",
    form: "HOST:PORT",
    defaultText: "127.0.0.1:8005",
    meaning: "where data planes connect; the default also takes [::1] where there is IPv6",
  },
  ...syncIdentitySettings,
  store: {
    flag: "store",
    form: "sqlite:FILE",
    defaultText: "",
    defaultMeaning: "sqlite:STATE-DIR/control-plane/store.db",
    meaning: "where the configuration is kept",
  },
  stateDir: {
    flag: "state-dir",
    form: "FOLDER",
    defaultText: "./.penstock",
    meaning: "where state is kept, in its subfolder control-plane",
  },
  adminHosts: {
    flag: "admin-hosts",
    form: "NAME,...",
    defaultText: "",
    defaultMeaning: "none",
    meaning: "names under which the admin port is reached, besides localhost and the address itself",
  },
  insecure: {
    flag: "insecure",
    form: "",
    defaultText: "false",
    meaning: "allow addresses that other machines reach, though nothing there asks who is calling yet",
  },
  secretKeyFile: {
    flag: "secret-key-file",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "secret.key beside the store",
    meaning: "the key that private keys are encrypted with in the store; made where it is missing and none is yet",
  },
  secretsInLists: {
    flag: "secrets-in-lists",
    form: "",
    defaultText: "false",
    meaning: "lists of certificates show private keys to callers on this machine, for tools that compare them",
  },
  ticketKeyRotation: {
    flag: "ticket-key-rotation",
    form: "HOURS",
    defaultText: "12",
    meaning: "how often the key of TLS session tickets is replaced, 1 to 168",
  },
  nodeStaleAfter: {
    flag: "node-stale-after",
    form: "TIME",
    defaultText: "30s",
    meaning: "a data plane that has been behind, or away, for longer is called stale",
  },
  nodeForgetAfter: {
    flag: "node-forget-after",
    form: "TIME",
    defaultText: "14d",
    meaning: "a data plane that has been away for longer is listed no more; a restart forgets those that are away",
  },
  logLevel: {
    flag: "log-level",
    form: logLevels.join("|"),
    defaultText: "info",
    meaning: "the least level that is logged",
  },
} as const satisfies Record<string, Setting>;

/** Every flag, without dashes, for a command that hands on what it does not know itself. */
export const controlPlaneFlags: readonly string[] = Object.values(settings).map((setting) => setting.flag);

type SettingName = keyof typeof settings;

/** The text of an option, and how the user gave it. */
interface Given {
  readonly text: string;
  /** `--flag` or PENSTOCK_NAME, for messages. */
  readonly source: string;
  readonly isDefault: boolean;
}

/** Reads the command line and, where it is silent, the environment. */
export function parseOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedOptions {
  const { texts, wantsHelp, problems } = readArguments(argv);
  if (wantsHelp) return { type: "help", text: helpText() };
  const given = (name: SettingName): Given => {
    const { flag, defaultText } = settings[name];
    const fromFlag = texts.get(flag);
    // An empty variable is how scripts and compose files leave one out.
    const fromEnv = env[envName(flag)] || undefined;
    const source = fromFlag === undefined ? envName(flag) : `--${flag}`;
    const isDefault = fromFlag === undefined && fromEnv === undefined;
    return { text: fromFlag ?? fromEnv ?? defaultText, source, isDefault };
  };
  const refuse = ({ source, text }: Given, problem: string) => {
    problems.push(`${source}: ${JSON.stringify(text)} ${problem}`);
  };
  const isInsecure = readSwitch(given("insecure"), refuse);
  const storePath = readStore(given("store"), given("stateDir").text, refuse);
  const adminListen = readListen(given("adminListen"), isInsecure, refuse);
  const text = (name: SettingName) => {
    const one = given(name);
    return { text: one.text, refuse: (problem: string) => refuse(one, problem) };
  };
  const syncIdentity = readSyncIdentity(
    {
      syncTls: text("syncTls"),
      syncCert: text("syncCert"),
      syncKey: text("syncKey"),
      syncClientCa: text("syncClientCa"),
      nodeCertificateLife: text("nodeCertificateLife"),
    },
    hostOf(given("syncListen").text),
  );
  const options: ControlPlaneOptions = {
    adminListen,
    syncListen: readListen(given("syncListen"), isInsecure || syncIdentity.type !== "off", refuse),
    storePath,
    adminHosts: readHosts(given("adminHosts"), refuse),
    logLevel: readLogLevel(given("logLevel"), refuse),
    secretKeyPath: given("secretKeyFile").text || join(dirname(storePath), "secret.key"),
    areSecretsInLists: readSwitch(given("secretsInLists"), refuse),
    ticketKeyRotationMs: readHours(given("ticketKeyRotation"), refuse),
    syncIdentity,
    nodeStaleAfterMs: readTime(given("nodeStaleAfter"), refuse),
    nodeForgetAfterMs: readTime(given("nodeForgetAfter"), refuse),
  };
  return problems.length > 0 ? { type: "problems", lines: problems } : { type: "options", options };
}

/** Tells a problem; the reader that met it then returns anything. */
type Refuse = (given: Given, problem: string) => void;

/** `host:port`, IPv6 in brackets. */
const listenForm = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/;

/** "" where the text has no such form, which is told when it is read. */
function hostOf(text: string): string {
  const match = listenForm.exec(text);
  return match?.[1] ?? match?.[2] ?? "";
}

function readListen(given: Given, isInsecure: boolean, refuse: Refuse): ListenAddress {
  const match = listenForm.exec(given.text);
  const host = hostOf(given.text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) refuse(given, "is not host:port");
  else if (match[1] !== undefined && isIP(host) !== 6) refuse(given, "has no IPv6 address in its brackets");
  else if (!isInsecure && !isLoopback(host))
    refuse(given, "is reached by other machines, and nothing there asks who is calling yet: needs --insecure");
  return { host, port, ...(given.isDefault ? { twinHost: "::1" } : {}) };
}

function readStore(given: Given, stateDir: string, refuse: Refuse): string {
  if (given.text === "") return join(stateDir, "control-plane", "store.db");
  const file = /^sqlite:(.*)$/s.exec(given.text)?.[1];
  // Not quoted: such an address holds a password.
  if (/^postgres(ql)?:/i.test(given.text))
    refuse({ ...given, text: "postgres" }, "is not supported yet; use sqlite:FILE");
  else if (file === undefined) refuse(given, "is not sqlite:FILE");
  else if (file === "" || file === ":memory:") refuse(given, "names no file");
  return file ?? "";
}

function readHosts(given: Given, refuse: Refuse): readonly string[] {
  if (given.text === "") return [];
  const names = given.text.split(",").map((name) => name.trim().toLowerCase());
  const wrong = names.find((name) => !/^(\[[0-9a-f:.]+\]|[^\s:@/?#[\]*]+)$/.test(name));
  if (wrong !== undefined) refuse(given, `is not a list of names without ports: ${JSON.stringify(wrong)}`);
  return names;
}

function readLogLevel(given: Given, refuse: Refuse): LogLevel {
  const level = logLevels.find((candidate) => candidate === given.text);
  if (level === undefined) refuse(given, `is not one of ${logLevels.join(", ")}`);
  return level ?? "info";
}

/** A week is as long as a session may last (RFC 8446 section 4.6.1). */
const rotationMaxHours = 168;

function readHours(given: Given, refuse: Refuse): number {
  const hours = /^[0-9]{1,3}$/.test(given.text) ? Number(given.text) : 0;
  if (hours < 1 || hours > rotationMaxHours) refuse(given, `is not a number of hours from 1 to ${rotationMaxHours}`);
  return hours * 60 * 60 * 1_000;
}

function readTime(given: Given, refuse: Refuse): number {
  const ms = parseDuration(given.text);
  if (!(ms > 0)) refuse(given, "is not a time such as 30s, 2m, 12h or 14d");
  return ms;
}

function readSwitch(given: Given, refuse: Refuse): boolean {
  const isOn = given.text === "true" || given.text === "1";
  if (!isOn && given.text !== "false" && given.text !== "0") refuse(given, "is not true or false");
  return isOn;
}

function readArguments(argv: readonly string[]) {
  const byFlag = new Map<string, Setting>(Object.values(settings).map((setting) => [setting.flag, setting]));
  const texts = new Map<string, string>();
  const problems: string[] = [];
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { texts, problems, wantsHelp: true };
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument);
    const known = byFlag.get(match?.[1] ?? "");
    if (known === undefined) {
      problems.push(`unknown option ${JSON.stringify(argument)}; see --help`);
      continue;
    }
    const isSwitch = known.form === "";
    const hasText = !isSwitch && rest[0] !== undefined && !rest[0].startsWith("--");
    const text = match?.[2] ?? (isSwitch ? "true" : hasText ? rest.shift() : undefined);
    if (text === undefined || (text === "" && !isSwitch))
      problems.push(`--${known.flag}: needs a value, ${known.form}`);
    else texts.set(known.flag, text);
  }
  return { texts, problems, wantsHelp: false };
}

function envName(flag: string): string {
  return `PENSTOCK_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function helpText(): string {
  const lines = [
    "Usage: penstock control-plane [options]",
    "",
    "Keeps the configuration, serves the admin API and feeds the data planes.",
    "",
  ];
  for (const setting of Object.values<Setting>(settings)) {
    const { flag, form, meaning, defaultText, defaultMeaning } = setting;
    lines.push(`  --${flag}${form === "" ? "" : ` ${form}`}`);
    lines.push(`      ${meaning}`);
    lines.push(`      environment: ${envName(flag)}; default: ${defaultMeaning ?? defaultText}`);
  }
  lines.push("  --help", "      this text", "");
  return lines.join("\n");
}
