import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { QuarantinesAPI } from "../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { parseQuarantineOptions, type QuarantineCommand } from "./quarantine-options.ts";
import { quarantineReport } from "./quarantine-report.ts";

/**
 * `penstock quarantine`: shows what data planes refused and what they get instead, and lets it go to them once more.
 * Exit codes: 0 done, 1 something is in quarantine, 2 for what the user can put right.
 */
export async function quarantine(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const parsed = parseQuarantineOptions(argv, env);
  if (parsed.type === "help") {
    process.stdout.write(parsed.text);
    return;
  }
  if (parsed.type === "problems") return refuse(parsed.lines);
  try {
    process.stdout.write(await run(parsed.command, parsed.adminUrl));
  } catch (error) {
    const failure = ConnectError.from(error);
    refuse([`${parsed.adminUrl}: ${failure.rawMessage || failure.message}`]);
  }
}

async function run(command: QuarantineCommand, baseUrl: string): Promise<string> {
  const client = createClient(QuarantinesAPI, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  if (command.name === "release") {
    const { revision } = await client.releaseQuarantine({ id: command.id });
    return `quarantine ${command.id} has ended with revision ${revision}\n`;
  }
  const { quarantines } = await client.listQuarantines({});
  if (quarantines.length > 0) process.exitCode = 1;
  return quarantineReport(quarantines);
}

function refuse(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`penstock quarantine: ${line}\n`);
  process.exitCode = 2;
}
