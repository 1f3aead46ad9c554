import { adminDefault, adminUrlProblem } from "./admin-url.ts";

/** A command line of words and flags, before anybody knows which of them belong together. */
export interface ReadArguments {
  readonly isHelp: boolean;
  readonly words: readonly string[];
  /** What each flag was given, in order; nothing for one that takes no value. */
  readonly given: ReadonlyMap<string, string[]>;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  /** Everything that is wrong, a line each. */
  readonly lines: string[];
}

/**
 * Reads the arguments of a command that asks the control plane: `--admin URL` is one of its flags, and in its absence
 * the environment says where that is.
 */
export function readArguments(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  { withValue, alone = new Set() }: { readonly withValue: ReadonlySet<string>; readonly alone?: ReadonlySet<string> },
): ReadArguments {
  const lines: string[] = [];
  const words: string[] = [];
  const given = new Map<string, string[]>();
  const rest = [...argv];
  let isHelp = false;
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const [, flag = "", value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (argument === "--help" || argument === "-h") isHelp = true;
    else if (value === undefined && alone.has(flag)) given.set(flag, []);
    else if (withValue.has(flag)) {
      const text = value ?? rest.shift();
      if (text === undefined || text === "") lines.push(`--${flag}: needs a value`);
      else given.set(flag, [...(given.get(flag) ?? []), text]);
    } else if (argument.startsWith("-")) lines.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    else words.push(argument);
  }
  const adminUrl = given.get("admin")?.at(-1) ?? (env["PENSTOCK_ADMIN"] || adminDefault);
  const problem = adminUrlProblem(adminUrl);
  if (problem !== null) lines.push(problem);
  return { isHelp, words, given, adminUrl, lines };
}
