import { adminDefault } from "./admin-url.ts";
import type { ParsedCommand } from "./ask-control-plane.ts";
import { readArguments } from "./read-arguments.ts";

/** What `penstock node` was told to do. */
export type NodeCommand =
  | {
      readonly name: "token";
      readonly ttlMs: number | null;
      readonly labels: Readonly<Record<string, string>>;
      readonly nodeId: string;
    }
  | { readonly name: "revoke"; readonly nodeId: string; readonly reason: string }
  | { readonly name: "forget"; readonly nodeId: string }
  | { readonly name: "refusals" };

const help = `Usage: penstock node token [options]       prints a join token, which one data plane can use once
       penstock node revoke ID [options]   cuts a data plane off; it goes on serving what it has
       penstock node refusals [options]    shows who was refused on the sync port, and why
       penstock node forget ID [options]   takes a data plane that is gone off the list of \`penstock nodes\`

  --ttl TIME
      token: how long it may be used, such as 30m or 2h; default: 1h, at most 720h
  --label KEY=VALUE
      token: a label of the data plane that joins with it; may be given again
  --node-id UUID
      token: the only data plane that may use it, also with another key than before, or after it was revoked
  --reason TEXT
      revoke: why, for people
  --admin URL
      the control plane's admin port
      environment: PENSTOCK_ADMIN; default: ${adminDefault}
  --help
      this text

Give a token to a data plane by PENSTOCK_JOIN_TOKEN or --join-token-file. Exit codes: 0 done, 2 for what the user can
put right.
`;

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const flags = { withValue: { ttl: "TIME", label: "KEY=VALUE", "node-id": "UUID", reason: "TEXT" } };
const flagsOf = {
  token: ["ttl", "label", "node-id", "admin"],
  revoke: ["reason", "admin"],
  refusals: ["admin"],
  forget: ["admin"],
} as const;

/** Reads the command line and, where it is silent, the environment. */
export function parseNodeOptions(argv: readonly string[], env: NodeJS.ProcessEnv): ParsedCommand<NodeCommand> {
  const { isHelp, words, given, adminUrl, lines } = readArguments(argv, env, flags);
  if (isHelp) return { type: "help", text: help };
  const command = readCommand(words, given, lines);
  return lines.length > 0 || command === null ? { type: "problems", lines } : { type: "command", command, adminUrl };
}

function readCommand(
  words: readonly string[],
  given: ReadonlyMap<string, readonly string[]>,
  lines: string[],
): NodeCommand | null {
  const [name, nodeId, ...more] = words;
  if (name === undefined || !Object.hasOwn(flagsOf, name)) {
    lines.push("needs one of token, revoke ID, refusals, forget ID; see --help");
    return null;
  }
  return readNamed(name as NodeCommand["name"], nodeId, more, given, lines);
}

function readNamed(
  name: NodeCommand["name"],
  nodeId: string | undefined,
  more: readonly string[],
  given: ReadonlyMap<string, readonly string[]>,
  lines: string[],
): NodeCommand {
  for (const flag of given.keys())
    if (!(flagsOf[name] as readonly string[]).includes(flag)) lines.push(`--${flag}: not for ${name}`);
  if (more.length > 0 || (nodeId !== undefined && name !== "revoke" && name !== "forget"))
    lines.push(`${name}: too many words`);
  if (name === "refusals") return { name };
  if (name === "revoke" || name === "forget") {
    if (nodeId === undefined) lines.push(`${name}: needs the id of a node`);
    if (name === "forget") return { name, nodeId: nodeId ?? "" };
    return { name, nodeId: nodeId ?? "", reason: given.get("reason")?.at(-1) ?? "" };
  }
  const ttlText = given.get("ttl")?.at(-1);
  const [, count, unit] = /^(\d{1,7})([smhd])$/.exec(ttlText ?? "") ?? [];
  if (ttlText !== undefined && count === undefined)
    lines.push(`--ttl: ${JSON.stringify(ttlText)} is not a time such as 30m`);
  const ttlMs = count === undefined ? null : Number(count) * unitMs[unit!]!;
  const labels: Record<string, string> = {};
  for (const pair of given.get("label") ?? []) {
    const at = pair.indexOf("=");
    if (at < 1) lines.push(`--label: ${JSON.stringify(pair)} is not key=value`);
    else labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return { name, ttlMs, labels, nodeId: given.get("node-id")?.at(-1) ?? "" };
}
