import { adminDefault } from "./admin-url.ts";
import type { ParsedCommand } from "./ask-control-plane.ts";
import { readArguments } from "./read-arguments.ts";

/** What `penstock quarantine` was told to do. */
export type QuarantineCommand = { readonly name: "list" } | { readonly name: "release"; readonly id: string };

const help = `Usage: penstock quarantine list [options]         shows what data planes refused, why, and what they get instead
       penstock quarantine release ID [options]   lets it go to them once more

  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --help
      this text

A quarantine ends by itself when what was refused is written anew. Exit codes: 0 done, and nothing is in quarantine; 1
something is (list); 2 for what the user can put right.
`;

/** Reads the command line and, where it is silent, the environment. */
export function parseQuarantineOptions(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): ParsedCommand<QuarantineCommand> {
  const { isHelp, words, adminUrl, lines } = readArguments(argv, env, { withValue: {} });
  if (isHelp) return { type: "help", text: help };
  const command = readCommand(words, lines);
  return lines.length > 0 || command === null ? { type: "problems", lines } : { type: "command", command, adminUrl };
}

function readCommand([name = "list", id, ...more]: readonly string[], lines: string[]): QuarantineCommand | null {
  if (name !== "list" && name !== "release") {
    lines.push("needs one of list, release ID; see --help");
    return null;
  }
  if (more.length > 0 || (name === "list" && id !== undefined)) lines.push(`${name}: too many words`);
  if (name === "list") return { name };
  if (id === undefined) lines.push("release: needs the id of a quarantine, as list shows it");
  return { name, id: id ?? "" };
}
