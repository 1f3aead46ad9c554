import { adminDefault } from "./admin-url.ts";
import type { ParsedCommand } from "./ask-control-plane.ts";
import { readArguments } from "./read-arguments.ts";

/** What `penstock rollout` was told to do. */
export type RolloutCommand =
  | { readonly name: "status"; readonly watches: boolean }
  | { readonly name: "pause" | "resume" | "promote" }
  | { readonly name: "abort"; readonly reason: string }
  | { readonly name: "policy"; readonly changes: PolicyChanges };

/** What is set of the policy; what is absent stays. */
export interface PolicyChanges {
  readonly mode?: "immediate" | "staged";
  readonly stages?: readonly { readonly nodeCount: number; readonly percent: number }[];
  readonly soakMs?: number;
  readonly applyTimeoutMs?: number;
  readonly errorShareTolerance?: number;
  readonly requestMinCount?: number;
}

const help = `Usage: penstock rollout [status]    shows how the change that is under way stands, or the last one
       penstock rollout pause       begins no further stage; what is reached stays, and stays watched
       penstock rollout resume      goes on; after a halt, begins a new rollout of all that waits
       penstock rollout promote     gives it to every data plane now; after a halt, all that waits
       penstock rollout abort       returns every data plane to what it had; what changed stays stored, and waits
       penstock rollout policy      shows how changes reach the fleet, or sets it

  --watch
      status: shows it again whenever it changes, until it is interrupted
  --reason TEXT
      abort: why, for people
  --mode immediate|staged
      policy: how changes go whose writers do not say (by the header Penstock-Rollout)
  --stage NUMBER | --stage PERCENT%
      policy: how many data planes have the change before all do; given again for each further stage
  --soak TIME
      policy: how long each stage is watched, such as 60s
  --apply-timeout TIME
      policy: how long the data planes of a stage may take to serve the change
  --error-tolerance SHARE
      policy: by how much the share of failed requests may rise, such as 0.01
  --min-requests NUMBER
      policy: a share of fewer requests is not judged
  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --help
      this text

Exit codes: 0 done; status: 1 while the last rollout is halted; 2 for what the user can put right.
`;

const names = ["status", "pause", "resume", "promote", "abort", "policy"] as const;
const policyFlags = ["mode", "stage", "soak", "apply-timeout", "error-tolerance", "min-requests"];
const flagsOf: Readonly<Record<string, readonly string[]>> = {
  status: ["watch"],
  abort: ["reason"],
  policy: policyFlags,
};
const flags = {
  withValue: {
    ...{ mode: "immediate|staged", stage: "NUMBER or PERCENT%", soak: "TIME", "apply-timeout": "TIME" },
    ...{ "error-tolerance": "SHARE", "min-requests": "NUMBER", reason: "TEXT" },
  },
  alone: ["watch"],
};
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads the command line and, where it is silent, the environment. */
export function parseRolloutOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedCommand<RolloutCommand> {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const command = readCommand(words, given, lines);
  return lines.length > 0 || command === null ? { type: "problems", lines } : { type: "command", command, adminUrl };
}

function readCommand(
  words: readonly string[],
  given: ReadonlyMap<string, readonly string[]>,
  lines: string[],
): RolloutCommand | null {
  const [word = "status", ...more] = words;
  const name = names.find((known) => known === word);
  if (name === undefined) {
    lines.push(`there is no ${JSON.stringify(word)}; there are: ${names.join(", ")}`);
    return null;
  }
  if (more.length > 0) lines.push(`${name}: too many words`);
  for (const flag of given.keys())
    if (flag !== "admin" && !(flagsOf[name] ?? []).includes(flag)) lines.push(`--${flag}: not for ${name}`);
  if (name === "status") return { name, watches: given.has("watch") };
  if (name === "abort") return { name, reason: given.get("reason")?.at(-1) ?? "" };
  return name === "policy" ? { name, changes: readChanges(given, lines) } : { name };
}

function readChanges(given: ReadonlyMap<string, readonly string[]>, lines: string[]): PolicyChanges {
  const read = <T>(flag: string, parse: (text: string) => T | null, form: string): T | undefined => {
    const text = given.get(flag)?.at(-1);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === null) lines.push(`--${flag}: ${JSON.stringify(text)} is not ${form}`);
    return value ?? undefined;
  };
  const stages = given.get("stage")?.map((text) => {
    const [, count, percent] = /^(\d{1,6})(%?)$/.exec(text) ?? [];
    if (count === undefined) lines.push(`--stage: ${JSON.stringify(text)} is not a number of data planes, nor percent`);
    return percent === "%" ? { nodeCount: 0, percent: Number(count) } : { nodeCount: Number(count), percent: 0 };
  });
  const isMode = (text: string) => (text === "immediate" || text === "staged" ? text : null);
  const changes = {
    mode: read("mode", isMode, "immediate or staged"),
    stages,
    soakMs: read("soak", timeMs, "a time such as 60s"),
    applyTimeoutMs: read("apply-timeout", timeMs, "a time such as 60s"),
    errorShareTolerance: read("error-tolerance", decimal, "a share such as 0.01"),
    requestMinCount: read("min-requests", wholeNumber, "a whole number"),
  };
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

function timeMs(text: string): number | null {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * unitMs[unit!]!;
}

function wholeNumber(text: string): number | null {
  return /^\d{1,12}$/.test(text) ? Number(text) : null;
}

function decimal(text: string): number | null {
  return /^\d{1,12}(\.\d{1,9})?$/.test(text) ? Number(text) : null;
}
