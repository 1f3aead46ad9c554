import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { failureText } from "./failure-text.ts";
import { refuse } from "./refuse.ts";

/** What the arguments of a command with commands of its own came to. */
export type ParsedCommand<C> =
  | { readonly type: "command"; readonly command: C; readonly adminUrl: string }
  | { readonly type: "help"; readonly text: string }
  /** Everything that is wrong, a line each. */
  | { readonly type: "problems"; readonly lines: readonly string[] };

/**
 * Runs a command that asks the control plane, or says why not.
 * @param name of the command, such as "node"
 * @param run what it does; rejects with what the control plane failed with
 */
export async function askControlPlane<C>(
  name: string,
  parsed: ParsedCommand<C>,
  run: (command: C, transport: Transport) => Promise<void>,
): Promise<void> {
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(name, parsed.lines);
  const { command, adminUrl } = parsed;
  try {
    await run(command, createConnectTransport({ baseUrl: adminUrl, httpVersion: "1.1" }));
  } catch (error) {
    refuse(name, [failureText(error, adminUrl, null)]);
  }
}
