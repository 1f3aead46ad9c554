import { getServers } from "node:dns";
import { isIP } from "node:net";
import type { Timers } from "../timers.ts";
import { watchFile } from "../watched-file.ts";
import type { DnsServer } from "./ask-server.ts";

/** Who is asked, and by which names. */
export interface ResolverSettings {
  readonly servers: readonly DnsServer[];
  /** Domains that names are looked for in, lower-case, without dots at their ends. */
  readonly search: readonly string[];
  /** A name with fewer dots is looked for in the search domains first. */
  readonly ndots: number;
}

export interface ResolverSettingsOptions {
  /** Of the system's configuration, in the format of resolv.conf(5). */
  readonly path: string;
  /** What the operator said, which the file does not change; null = as the file says. */
  readonly servers: readonly DnsServer[] | null;
  readonly search: readonly string[] | null;
  readonly ndots: number | null;
  readonly timers: Timers;
  /** Time between looks at the file. */
  readonly checkIntervalMs: number;
  /** Called after the file was read again because it had changed. */
  readonly onChange: () => void;
  /** Called when the file can no longer be read; what was read last stays in force. */
  readonly onUnreadable: (problem: string) => void;
}

export interface OpenResolverSettings {
  readonly current: ResolverSettings;
  /** Why the file could not be read at the start, when the system is asked in another way; null when it was read. */
  readonly startProblem: string | null;
  close(): void;
}

const DNS_PORT = 53;
const SERVERS_MAX = 8;
const SEARCH_MAX = 32;
const NDOTS_MAX = 15;
const FILE_MAX_BYTES = 1_048_576;

/**
 * What a resolv.conf says: nameserver, search (or domain) and the option ndots. Lines that make no sense are skipped, and of
 * search and domain the last one counts, as every resolver does.
 */
export function parseResolvConf(text: string): ResolverSettings {
  const servers: DnsServer[] = [];
  let search: readonly string[] = [];
  let ndots = 1;
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/);
    const [first = ""] = values;
    if (keyword === "nameserver" && isIP(first) !== 0 && servers.length < SERVERS_MAX) {
      servers.push({ host: first, port: DNS_PORT });
    } else if (keyword === "search") search = values.map(plainDomain).filter(Boolean).slice(0, SEARCH_MAX);
    else if (keyword === "domain") search = [plainDomain(first)].filter(Boolean);
    else if (keyword === "options") {
      const option = values.map((value) => /^ndots:([0-9]{1,9})$/.exec(value)?.[1]).findLast((value) => value);
      if (option !== undefined) ndots = Math.min(Number(option), NDOTS_MAX);
    }
  }
  // resolv.conf(5): without a nameserver line, the one on the local machine.
  return { servers: servers.length > 0 ? servers : [{ host: "127.0.0.1", port: DNS_PORT }], search, ndots };
}

/** Reads the system's configuration, and again whenever it changes; the operator's word goes before it. */
export async function openResolverSettings(options: ResolverSettingsOptions): Promise<OpenResolverSettings> {
  const { timers, path, checkIntervalMs, onUnreadable } = options;
  let read: ResolverSettings | null = null;
  let isOpen = false;
  const file = await watchFile({
    ...{ path, timers, checkIntervalMs, onUnreadable, maxBytes: FILE_MAX_BYTES },
    onText(text) {
      read = parseResolvConf(text);
      if (isOpen) options.onChange();
    },
  });
  isOpen = true;
  return {
    startProblem: file.startProblem,
    get current() {
      const { servers, search, ndots } = read ?? systemSettings();
      return {
        servers: options.servers ?? servers,
        search: options.search ?? search,
        ndots: options.ndots ?? ndots,
      };
    },
    close: () => file.close(),
  };
}

/** Where there is no such file (Windows), Node knows the servers. */
function systemSettings(): ResolverSettings {
  const servers = getServers().flatMap((text) => {
    const server = parseDnsServer(text);
    return server === null ? [] : [server];
  });
  return { servers, search: [], ndots: 1 };
}

/** An IP address, or `address:port` with brackets around IPv6; null when it is neither. */
export function parseDnsServer(text: string): DnsServer | null {
  if (isIP(text) !== 0) return { host: text, port: DNS_PORT };
  const match = /^(?:\[([^\]]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  return isIP(host) !== 0 && port > 0 && port <= 65_535 ? { host, port } : null;
}

/** The absolute names that a name may stand for, in the order in which they are tried; all lower-case, without last dot. */
export function namesToTry(name: string, { search, ndots }: Pick<ResolverSettings, "search" | "ndots">): string[] {
  const plain = plainDomain(name);
  if (name.endsWith(".") || search.length === 0) return [plain];
  const found = search.map((domain) => `${plain}.${domain}`);
  const dots = plain.split(".").length - 1;
  return dots >= ndots ? [plain, ...found] : [...found, plain];
}

function plainDomain(domain: string): string {
  return domain.toLowerCase().replace(/^\.|\.$/g, "");
}
