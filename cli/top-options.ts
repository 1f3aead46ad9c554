import { adminDefault, adminUrlProblem } from "./admin-url.ts";

/** What comes first in the table; all but the name from the largest on. */
export const sortKeys = ["name", "requests", "errors", "p99", "in-flight"] as const;
export type SortKey = (typeof sortKeys)[number];

/** What `penstock top` was told to do. */
export interface TopOptions {
  /** Id or name of the upstream; null for all. */
  readonly upstream: string | null;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  readonly isOnce: boolean;
  readonly isJson: boolean;
  readonly sortBy: SortKey;
  /** Whether to show what each node sees as well. */
  readonly byNode: boolean;
}

export type ParsedTopOptions =
  | { readonly type: "options"; readonly options: TopOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

const help = `Usage: penstock top [UPSTREAM] [options]

Shows what requests meet at the endpoints of an upstream (by name or id), or of all upstreams, added up over all nodes:
requests and errors a second, the time to the answer's head, what is under way, ejections. Nodes tell every 2 s.
On a terminal the table is drawn again in place; otherwise each change is printed below the one before.

  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --once
      shows what there is, and ends
  --json
      JSON in place of a table; without --once a line for each change
  --sort ${sortKeys.join("|")}
      what comes first, of upstreams and of the endpoints of each; default: name
  --nodes
      shows what each node sees as well
  --help
      this text

Exit codes: 0 when shown, or stopped; 2 the command or the connection failed.
`;

/** Options that take a value, with what it is called in messages. */
const valueNames: Readonly<Record<string, string>> = { admin: "URL", sort: sortKeys.join("|") };

/** Reads the command line and, where it is silent, the environment. */
export function parseTopOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedTopOptions {
  const lines: string[] = [];
  const words: string[] = [];
  const switches = new Set<string>();
  const values: Record<string, string> = { admin: env["PENSTOCK_ADMIN"] || adminDefault, sort: "name" };
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { type: "help", text: help };
    const [, flag = "", value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    const valueName = Object.hasOwn(valueNames, flag) ? valueNames[flag] : undefined;
    if (valueName !== undefined) {
      const given = value ?? (rest[0]?.startsWith("--") === true ? undefined : rest.shift());
      if (given === undefined || given === "") lines.push(`--${flag}: needs a value, ${valueName}`);
      else values[flag] = given;
    } else if (["once", "json", "nodes"].includes(flag) && value === undefined) switches.add(flag);
    else if (argument.startsWith("-")) lines.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    else words.push(argument);
  }
  if (words.length > 1) lines.push(`one upstream at most, not ${words.map((word) => JSON.stringify(word)).join(", ")}`);
  const sortBy = sortKeys.find((key) => key === values["sort"]);
  if (sortBy === undefined) lines.push(`--sort: ${JSON.stringify(values["sort"])} is none of ${sortKeys.join(", ")}`);
  const adminUrl = values["admin"]!;
  const problem = adminUrlProblem(adminUrl);
  if (problem !== null) lines.push(problem);
  if (lines.length > 0 || sortBy === undefined) return { type: "problems", lines };
  const facts = { isOnce: switches.has("once"), isJson: switches.has("json"), byNode: switches.has("nodes") };
  return { type: "options", options: { upstream: words[0] ?? null, adminUrl, sortBy, ...facts } };
}
