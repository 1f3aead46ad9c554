import { adminDefault } from "./admin-url.ts";
import { oneWord, readArguments } from "./read-arguments.ts";

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

const flags = { withValue: {}, alone: ["watch", "once", "json"] };

/** Reads the command line and, where it is silent, the environment. */
export function parseNodesOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedNodesOptions {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const nodeId = oneWord(words, "node", lines);
  if (given.has("watch") && given.has("once")) lines.push("--watch, --once: one of the two");
  if (lines.length > 0) return { type: "problems", lines };
  return { type: "options", options: { nodeId, adminUrl, isWatching: given.has("watch"), isJson: given.has("json") } };
}
