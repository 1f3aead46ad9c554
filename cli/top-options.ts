import { adminDefault } from "./admin-url.ts";
import { oneWord, readArguments } from "./read-arguments.ts";

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

const flags = { withValue: { sort: sortKeys.join("|") }, alone: ["once", "json", "nodes"] };

/** Reads the command line and, where it is silent, the environment. */
export function parseTopOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedTopOptions {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const upstream = oneWord(words, "upstream", lines);
  const sortText = given.get("sort")?.at(-1) ?? "name";
  const sortBy = sortKeys.find((key) => key === sortText);
  if (sortBy === undefined) lines.push(`--sort: ${JSON.stringify(sortText)} is none of ${sortKeys.join(", ")}`);
  if (lines.length > 0 || sortBy === undefined) return { type: "problems", lines };
  const facts = { isOnce: given.has("once"), isJson: given.has("json"), byNode: given.has("nodes") };
  return { type: "options", options: { upstream, adminUrl, sortBy, ...facts } };
}
