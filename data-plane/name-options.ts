import { type Reading, readCount, readList, readOneOf, readText, readUnlessEmpty } from "./option-readers.ts";
import { limit, setting, timeLimit } from "./option-setting.ts";
import type { DnsServer } from "./upstream/dns/ask-server.ts";
import { parseDnsServer } from "./upstream/dns/resolver-settings.ts";
import type { AddressFamilies } from "./upstream/lookup-name.ts";

const families = ["fastest", "ipv4-first", "ipv6-first", "ipv4", "ipv6"] as const satisfies readonly AddressFamilies[];

/** How the names of targets are resolved, in the order of the help. */
export const NAME_SETTINGS = {
  hostsFile: setting({
    flag: "hosts-file",
    form: "FILE",
    defaultText: "/etc/hosts",
    meaning: "names that are not asked of the DNS; read again when it changes",
    read: readText,
  }),
  resolvConf: setting({
    flag: "resolv-conf",
    form: "FILE",
    defaultText: "/etc/resolv.conf",
    meaning: "says which name servers are asked, and the search domains and ndots; read again when it changes",
    read: readText,
  }),
  dnsServers: setting({
    flag: "dns-servers",
    form: "ADDRESS[:PORT],...",
    defaultText: "",
    defaultMeaning: "as the file before says",
    meaning: "name servers, the next one asked where one fails",
    read: readUnlessEmpty(readList(readDnsServer)),
  }),
  dnsSearch: setting({
    flag: "dns-search",
    form: "DOMAIN,...",
    defaultText: "",
    defaultMeaning: "as the file before says",
    meaning: 'domains that names are looked for in; "." for none. A name that ends with a dot is looked for in none',
    read: readUnlessEmpty(readList(readDomain)),
  }),
  dnsNdots: setting({
    flag: "dns-ndots",
    form: "COUNT",
    defaultText: "",
    defaultMeaning: "as the file before says",
    meaning: "names with fewer dots are looked for in the search domains first",
    read: readUnlessEmpty(readCount(0, 15)),
  }),
  dnsFamily: setting<AddressFamilies>({
    flag: "dns-family",
    form: families.join("|"),
    defaultText: "fastest",
    meaning: "the addresses used of a name that has both IPv4 and IPv6: those that connect faster, or these",
    read: readOneOf(families),
  }),
  dnsSrv: setting<"service-names" | "all-names">({
    flag: "dns-srv",
    form: "service-names|all-names",
    defaultText: "service-names",
    meaning: "names that SRV records are looked for: _service._protocol.name, or all before their addresses",
    read: readOneOf(["service-names", "all-names"]),
  }),
  dnsTimeoutMs: timeLimit("dns-timeout", "2s", "for one name server to reply"),
  dnsTries: limit("dns-tries", 2, 10, "times that each name server is asked before a lookup has failed"),
  dnsTtlMinMs: timeLimit("dns-ttl-min", "1s", "a shorter time to live is taken as this"),
  dnsTtlMaxMs: timeLimit("dns-ttl-max", "1h", "a longer time to live is taken as this"),
  dnsNotFoundMaxMs: timeLimit(
    "dns-not-found-max",
    "30s",
    "longest time until a name without answer is asked for again",
  ),
  dnsOutageMaxMs: timeLimit("dns-outage-max", "24h", "how long the last good answer is used while no lookup succeeds"),
  dnsVanishedMaxMs: timeLimit(
    "dns-vanished-max",
    "1h",
    "and while name servers say that there is no such name or address",
  ),
  dnsLookupsMax: limit("dns-lookups-max", 64, 4_096, "lookups under way at once; others wait"),
};

function readDnsServer(text: string): Reading<DnsServer> {
  const server = parseDnsServer(text);
  return server === null ? { ok: false, problem: "is no address[:port]" } : { ok: true, value: server };
}

function readDomain(text: string): Reading<string> {
  const domain = text.toLowerCase().replace(/^\.|\.$/g, "");
  const isDomain = domain === "" || /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(domain);
  return isDomain ? { ok: true, value: domain } : { ok: false, problem: "is no domain" };
}
