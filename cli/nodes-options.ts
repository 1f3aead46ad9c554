import { adminDefault, adminUrlProblem } from "./admin-url.ts";

/** What `penstock nodes` was told to do. */
export interface NodesOptions {
  /** Id of a node, for all that there is of it; null for a line of each. */
  readonly nodeId: string | null;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  readonly isWatching: boolean;
  readonly isJson: boolean;
}

export type ParsedNodesOptions =
  | { readonly type: "options"; readonly options: NodesOptions }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

const help = `Usage: penstock nodes [ID] [options]

Shows what the data planes serve, how far they are behind, what they refused and how they do; of one by its id, all that
is known of it, worker by worker.

  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --watch
      goes on: on a terminal the table is drawn again in place, otherwise each node is shown again when it changes
  --once
      shows what there is, and ends; that is what it does without --watch
  --json
      JSON in place of a table; with --watch a line for each change
  --help
      this text

Exit codes: 0 every node is in sync, or catching up; 1 one is stale, away, or refused the newest publication, or takes no
notice of parts of the configuration; 2 the command or the connection failed. With --watch: 0 when stopped.
`;

/** Reads the command line and, where it is silent, the environment. */
export function parseNodesOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedNodesOptions {
  const lines: string[] = [];
  const words: string[] = [];
  const switches = new Set<string>();
  let adminUrl = env["PENSTOCK_ADMIN"] || adminDefault;
  const rest = [...argv];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--help" || argument === "-h") return { type: "help", text: help };
    const [, flag = "", value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (flag === "admin") {
      const given = value ?? (rest[0]?.startsWith("--") === true ? undefined : rest.shift());
      if (given === undefined || given === "") lines.push("--admin: needs a value, URL");
      else adminUrl = given;
    } else if (["watch", "once", "json"].includes(flag) && value === undefined) switches.add(flag);
    else if (argument.startsWith("-")) lines.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    else words.push(argument);
  }
  if (words.length > 1) lines.push(`one node at most, not ${words.map((word) => JSON.stringify(word)).join(", ")}`);
  if (switches.has("watch") && switches.has("once")) lines.push("--watch, --once: one of the two");
  const problem = adminUrlProblem(adminUrl);
  if (problem !== null) lines.push(problem);
  if (lines.length > 0) return { type: "problems", lines };
  const [isWatching, isJson] = [switches.has("watch"), switches.has("json")];
  return { type: "options", options: { nodeId: words[0] ?? null, adminUrl, isWatching, isJson } };
}
