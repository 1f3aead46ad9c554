import type { DataPlaneOptions } from "./options.ts";
import { StartError } from "./start-error.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";
import { type HostsFile, openHostsFile } from "./upstream/hosts-file.ts";
import { dnsLookup } from "./upstream/lookup-addresses.ts";
import { NameResolver } from "./upstream/resolve-name.ts";
import { systemTimers as timers } from "./upstream/timers.ts";

/** What a node resolves names with. */
export interface NodeNames {
  readonly resolver: NameResolver;
  close(): void;
}

export interface NodeNamesInput {
  readonly options: DataPlaneOptions;
  readonly log: Log;
  readonly counters: NodeCounters;
  /** A name's addresses are other ones than before. */
  readonly onChange: (name: string) => void;
}

/** Opens the hosts file and begins to resolve. Errors: StartError, when the user named a hosts file that cannot be read. */
export async function buildNames({ options, log, counters, onChange }: NodeNamesInput): Promise<NodeNames> {
  const hosts = await openHosts(options, log, () => resolver.hostsChanged());
  const resolver: NameResolver = new NameResolver({
    lookup: dnsLookup({ timeoutMs: 2_000, tries: 2 }),
    hosts,
    timers,
    random: Math.random,
    onChange,
    onProblem(name, problem, keptAddresses) {
      counters.name_problems++;
      log.debug({ name, problem, keptAddresses }, "name not resolved");
    },
  });
  return {
    resolver,
    close() {
      resolver.close();
      hosts.close();
    },
  };
}

async function openHosts(options: DataPlaneOptions, log: Log, onChange: () => void): Promise<HostsFile> {
  const hosts = await openHostsFile({
    path: options.hostsFile,
    timers,
    checkIntervalMs: 1_000,
    maxBytes: 16 * 1024 * 1024,
    onChange,
    onUnreadable: (problem) => log.warn({ problem }, "the hosts file cannot be read: what it said last stays in force"),
  });
  const problem = hosts.startProblem;
  if (problem !== null && options.given.has("hostsFile"))
    throw new StartError(`cannot read the hosts file: ${problem}`);
  if (problem !== null) log.info({ problem }, "no hosts file");
  return hosts;
}
