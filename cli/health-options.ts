import { adminDefault } from "./admin-url.ts";
import { oneWord, readArguments } from "./read-arguments.ts";

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

const flags = { withValue: {}, alone: ["watch", "json"] };

/** Reads the command line and, where it is silent, the environment. */
export function parseHealthOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedHealthOptions {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const upstream = oneWord(words, "upstream", lines);
  if (lines.length > 0) return { type: "problems", lines };
  return {
    type: "options",
    options: { upstream, adminUrl, isWatching: given.has("watch"), isJson: given.has("json") },
  };
}
