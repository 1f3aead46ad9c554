import { adminDefault, adminUrlProblem } from "./admin-url.ts";

/** The flags of a command, without their dashes. */
export interface KnownFlags {
  /** Those that take a value, and the form of that for people, such as "URL". */
  readonly withValue: Readonly<Record<string, string>>;
  /** Those that take none. */
  readonly alone?: readonly string[];
  /** Short ways to write one, such as "-H", and which flag that is. */
  readonly short?: Readonly<Record<string, string>>;
}

/** A command line of words and flags, before anybody knows which of them belong together. */
export interface ReadArguments {
  readonly isHelp: boolean;
  readonly words: readonly string[];
  /** What each flag was given, in order; nothing for one that takes no value. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  /** Base URL of the admin port. */
  readonly adminUrl: string;
  /** Everything that is wrong, a line each. */
  readonly lines: string[];
}

/**
 * Reads the arguments of a command that asks the control plane: `--admin URL` is one of its flags, and in its absence
 * the environment says where that is. What begins with two dashes is nobody's value, unless "=" joins them.
 */
export function readArguments(argv: readonly string[], env: NodeJS.ProcessEnv, flags: KnownFlags): ReadArguments {
  const { alone = [], short = {} } = flags;
  const forms = new Map(Object.entries({ admin: "URL", ...flags.withValue }));
  const lines: string[] = [];
  const words: string[] = [];
  const given = new Map<string, string[]>();
  const rest = [...argv];
  let isHelp = false;
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    const [, long = "", value] = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument) ?? [];
    const flag = Object.hasOwn(short, argument) ? short[argument]! : long;
    const form = forms.get(flag);
    if (argument === "--help" || argument === "-h") isHelp = true;
    else if (value === undefined && alone.includes(flag)) given.set(flag, []);
    else if (form !== undefined) {
      const text = value ?? (rest[0]?.startsWith("--") === true ? undefined : rest.shift());
      if (text === undefined || text === "") lines.push(`--${flag}: needs a value, ${form}`);
      else given.set(flag, [...(given.get(flag) ?? []), text]);
    } else if (argument.startsWith("-")) lines.push(`unknown option ${JSON.stringify(argument)}; see --help`);
    else words.push(argument);
  }
  const adminUrl = given.get("admin")?.at(-1) ?? (env["PENSTOCK_ADMIN"] || adminDefault);
  const problem = adminUrlProblem(adminUrl);
  if (problem !== null) lines.push(problem);
  return { isHelp, words, given, adminUrl, lines };
}

/** The one word that a command takes; null without any. @param what it is, for people */
export function oneWord(words: readonly string[], what: string, lines: string[]): string | null {
  if (words.length > 1) lines.push(`one ${what} at most, not ${words.map((word) => JSON.stringify(word)).join(", ")}`);
  return words[0] ?? null;
}
