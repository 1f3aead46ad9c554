import { adminDefault, adminUrlProblem } from "./admin-url.ts";

/** What `penstock health` was told to do. */
export interface HealthOptions {
  /** Id or name of the upstream; null for all. */
  readonly upstream: string | null;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  readonly isWatching: boolean;
  readonly isJson: boolean;
}

export type ParsedHealthOptions =
  | { readonly type: "options"; readonly options: HealthOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

const help = `Usage: penstock health [UPSTREAM] [options]

Shows what the nodes see of the targets of an upstream (by name or id), or of all upstreams.

  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --watch
      goes on, and shows an upstream again whenever its health changes
  --json
      JSON in place of a table; with --watch a line for each change
  --help
      this text

Exit codes: 0 every endpoint is healthy, or nobody has judged it; 1 an endpoint is unhealthy on every node that
reports on it, or a name could not be resolved; 2 the command or the connection failed. With --watch: 0 when stopped.
`;

/** Reads the command line and, where it is silent, the environment. */
export function parseHealthOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedHealthOptions {
  const lines: string[] = [];
  const words: string[] = [];
  const switches = new Set<string>();
  let adminUrl = env["PENSTOCK_ADMIN"] || adminDefault;
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { type: "help", text: help };
    const [, flag, value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (flag === "admin") {
      const given = value ?? (rest[0]?.startsWith("--") === true ? undefined : rest.shift());
      if (given === undefined || given === "") lines.push("--admin: needs a value, URL");
      else adminUrl = given;
    } else if ((flag === "watch" || flag === "json") && value === undefined) switches.add(flag);
    else if (argument.startsWith("-")) lines.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    else words.push(argument);
  }
  if (words.length > 1) lines.push(`one upstream at most, not ${words.map((word) => JSON.stringify(word)).join(", ")}`);
  const problem = adminUrlProblem(adminUrl);
  if (problem !== null) lines.push(problem);
  if (lines.length > 0) return { type: "problems", lines };
  const options = {
    upstream: words[0] ?? null,
    adminUrl,
    isWatching: switches.has("watch"),
    isJson: switches.has("json"),
  };
  return { type: "options", options };
}
