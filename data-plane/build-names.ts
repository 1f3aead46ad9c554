import type { DataPlaneOptions } from "./options.ts";
import { StartError } from "./start-error.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";
import { DnsClient } from "./upstream/dns/dns-client.ts";
import { type OpenResolverSettings, openResolverSettings } from "./upstream/dns/resolver-settings.ts";
import { type HostsFile, openHostsFile } from "./upstream/hosts-file.ts";
import { lookupName } from "./upstream/lookup-name.ts";
import type { NameProblem } from "./upstream/name-resolver-options.ts";
import { namesGauges, namesPage } from "./upstream/names-page.ts";
import { raceFamilies } from "./upstream/race-families.ts";
import { NameResolver } from "./upstream/resolve-name.ts";
import { systemTimers as timers } from "./upstream/timers.ts";

/** What a node resolves names with. */
export interface NodeNames {
  readonly resolver: NameResolver;
  /** All names and what they stand for, for the status port. */
  page(): Readonly<Record<string, unknown>>;
  /** Values of metrics, by their names. */
  gauges(): Readonly<Record<string, number>>;
  close(): void;
}

export interface NodeNamesInput {
  readonly options: DataPlaneOptions;
  readonly log: Log;
  readonly counters: NodeCounters;
  /** A name stands for other endpoints than before. */
  readonly onChange: (name: string) => void;
}

const FILE_CHECK_INTERVAL_MS = 1_000;
/** Within what a config waits for new names; where neither family connects, so fast, the choice is made later. */
const RACE_TIMEOUT_MS = 250;
/** As much faster the other family must be to take over, so that what is nearly equal does not alternate. */
const RACE_HEAD_START_MS = 50;
/** New problems that are warned of in a minute; an outage has one for every name. */
const WARNINGS_PER_MINUTE = 10;

/** Opens the system's files and begins to resolve. Errors: StartError, when the user named a file that cannot be read. */
export async function buildNames({ options, log, counters, onChange }: NodeNamesInput): Promise<NodeNames> {
  const hosts = await openHosts(options, log, () => resolver.configChanged());
  const settings = await openSettings(options, log, () => resolver.configChanged());
  const client = buildClient(options, log, counters, settings);
  const mayWarn = atMostPerMinute(WARNINGS_PER_MINUTE);
  const resolver: NameResolver = new NameResolver({
    lookup: lookupName({
      ...{ timers, families: options.dnsFamily, settings: () => settings.current },
      query: (question) => client.query(question),
    }),
    hosts,
    timers,
    families: options.dnsFamily,
    race: raceFamilies({ timers, timeoutMs: RACE_TIMEOUT_MS, headStartMs: RACE_HEAD_START_MS }),
    everyNameMayBeService: options.dnsSrv === "all-names",
    random: Math.random,
    onChange(name) {
      counters.name_changes++;
      log.debug({ name, endpoints: resolver.endpointsOf(name) }, "name resolved");
      onChange(name);
    },
    onProblem({ isNew, ...problem }: NameProblem) {
      counters.name_problems++;
      log[isNew && mayWarn() ? "warn" : "debug"](problem, "name not resolved");
    },
    onRecovery: (name) => log.info({ name }, "name resolved again"),
    limits: limitsOf(options),
  });
  return {
    resolver,
    page: () => namesPage(resolver.states(), settings.current),
    gauges: () => namesGauges(resolver.states()),
    close() {
      resolver.close();
      hosts.close();
      settings.close();
    },
  };
}

function limitsOf(options: DataPlaneOptions) {
  return {
    ttlFloorMs: options.dnsTtlMinMs,
    ttlCeilingMs: Math.max(options.dnsTtlMaxMs, options.dnsTtlMinMs),
    notFoundCeilingMs: options.dnsNotFoundMaxMs,
    outageKeepMs: options.dnsOutageMaxMs,
    vanishedKeepMs: options.dnsVanishedMaxMs,
    lookupsMax: options.dnsLookupsMax,
  };
}

function buildClient(options: DataPlaneOptions, log: Log, counters: NodeCounters, settings: OpenResolverSettings) {
  return new DnsClient({
    timers,
    servers: () => settings.current.servers,
    timeoutMs: options.dnsTimeoutMs,
    tries: options.dnsTries,
    onSend(transport) {
      counters.dns_queries++;
      if (transport === "tcp") counters.dns_tcp_queries++;
    },
    onServerFailure(server, problem) {
      counters.dns_server_failures++;
      log.debug({ server, problem }, "name server failed");
    },
  });
}

async function openHosts(options: DataPlaneOptions, log: Log, onChange: () => void): Promise<HostsFile> {
  const hosts = await openHostsFile({
    path: options.hostsFile,
    timers,
    checkIntervalMs: FILE_CHECK_INTERVAL_MS,
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

async function openSettings(options: DataPlaneOptions, log: Log, onChange: () => void) {
  const settings = await openResolverSettings({
    path: options.resolvConf,
    servers: options.dnsServers,
    search: options.dnsSearch?.filter((domain) => domain !== "") ?? null,
    ndots: options.dnsNdots,
    timers,
    checkIntervalMs: FILE_CHECK_INTERVAL_MS,
    onChange,
    onUnreadable: (problem) =>
      log.warn({ problem }, "the configuration of the resolver cannot be read: what it said last stays in force"),
  });
  const problem = settings.startProblem;
  if (problem !== null && options.given.has("resolvConf"))
    throw new StartError(`cannot read the configuration of the resolver: ${problem}`);
  if (problem !== null) log.info({ problem, ...settings.current }, "no resolv.conf: the system's servers are asked");
  return settings;
}

/** Whether something may be done once more in this minute. */
function atMostPerMinute(countMax: number): () => boolean {
  let sinceMs = Number.NEGATIVE_INFINITY;
  let count = 0;
  return () => {
    if (timers.nowMs() - sinceMs >= 60_000) {
      sinceMs = timers.nowMs();
      count = 0;
    }
    return count++ < countMax;
  };
}
