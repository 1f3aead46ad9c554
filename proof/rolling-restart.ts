/**
 * A13: the data-plane process is replaced ten times under 1,500 requests a second (a new process with --take-over, wait
 * until it is ready, SIGTERM to the former one). Clients that keep connections must lose nothing. With a new connection
 * per request, 500 a second, what waits in the queue of a listening socket that closes is reset, unless the kernel
 * migrates it (net.ipv4.tcp_migrate_req); told beside what nginx and HAProxy lose, which pass their listening sockets on.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runProcess } from "../test/support/child-process.ts";
import type { RollingRestartOrder, RollingRestartOutcome } from "../test/support/rolling-restart-run.ts";
import { findPeers } from "../test/support/rolling-subjects.ts";
import type { Figure } from "./prove.ts";

const restarts = 10;
const keptPerSecond = 1_500;
const keptCount = 64;
/** Loader, target and two generations of processes share the cores: more would measure what those have left. */
const freshPerSecond = 500;
const runFile = fileURLToPath(new URL("../test/support/rolling-restart-run.ts", import.meta.url));
const migrateFile = "/proc/sys/net/ipv4/tcp_migrate_req";

/** In a namespace of its own the sysctl is ours to set; null: in this one, as it is. */
function commandFor(migrates: boolean | null, args: readonly string[]): readonly [string, readonly string[]] {
  if (migrates === null) return [process.execPath, args];
  const script = `ip link set lo up && echo ${Number(migrates)} > ${migrateFile} && exec "$0" "$@"`;
  const flags = process.getuid?.() === 0 ? "-n" : "-rn";
  return ["unshare", [flags, "sh", "-c", script, process.execPath, ...args]];
}

async function run(order: RollingRestartOrder, migrates: boolean | null): Promise<RollingRestartOutcome> {
  const [command, args] = commandFor(migrates, [runFile, JSON.stringify(order)]);
  const running = runProcess(command, args);
  return (await running.jsonLine((line) => "sent" in line)) as unknown as RollingRestartOutcome;
}

function canMigrate(): boolean {
  const [command, args] = commandFor(true, ["--version"]);
  return spawnSync(command, args).status === 0;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const { found, missing } = findPeers();
  for (const name of missing) progress(`${name}: not installed, left out`);
  const hasNamespaces = canMigrate();
  if (!hasNamespaces) progress("no network namespace here: tcp_migrate_req stays as it is");

  async function measure(subject: string, kept: number | null, migrates: boolean | null, atMost: number | null) {
    const requestsPerSecond = kept === null ? freshPerSecond : keptPerSecond;
    const outcome = await run({ subject, restarts, requestsPerSecond, keptCount: kept }, migrates);
    const lost = kept === null ? "new connections lost" : "requests failed on kept connections";
    const setting = migrates === null ? "" : `, tcp_migrate_req=${Number(migrates)}`;
    const name = `${subject}${setting}, ${requestsPerSecond}/s: ${lost} in ${restarts} restarts`;
    progress(`${name}: ${JSON.stringify(outcome)}`);
    figures.push({ name, value: outcome.failed, unit: `of ${outcome.sent}`, atMost });
  }

  const off = hasNamespaces ? false : null;
  await measure("penstock", keptCount, off, 0);
  await measure("penstock", null, off, null);
  if (hasNamespaces) await measure("penstock", null, true, 0);
  for (const peer of found) {
    await measure(peer, keptCount, off, null);
    await measure(peer, null, off, null);
  }
  return figures;
}
