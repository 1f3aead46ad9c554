import { createClient, type Transport } from "@connectrpc/connect";
import { QuarantinesAPI } from "../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { askControlPlane } from "./ask-control-plane.ts";
import { linesText } from "./printable.ts";
import { parseQuarantineOptions, type QuarantineCommand } from "./quarantine-options.ts";
import { quarantineReport } from "./quarantine-report.ts";

/**
 * `penstock quarantine`: shows what data planes refused and what they get instead, and lets it go to them once more.
 * Exit codes: 0 done, 1 something is in quarantine, 2 for what the user can put right.
 */
export async function quarantine(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  await askControlPlane("quarantine", parseQuarantineOptions(argv, env), async (command, transport) => {
    process.stdout.write(await run(command, transport));
  });
}

async function run(command: QuarantineCommand, transport: Transport): Promise<string> {
  const client = createClient(QuarantinesAPI, transport);
  if (command.name === "release") {
    const { revision } = await client.releaseQuarantine({ id: command.id });
    return linesText([`quarantine ${command.id} has ended with revision ${revision}`]);
  }
  const { quarantines } = await client.listQuarantines({});
  if (quarantines.length > 0) process.exitCode = 1;
  return quarantineReport(quarantines);
}
