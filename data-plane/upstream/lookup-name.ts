import type { DnsAnswer } from "./dns/dns-client.ts";
import { type DnsQuestion, type DnsRecord, isAskable } from "./dns/dns-message.ts";
import { namesToTry, type ResolverSettings } from "./dns/resolver-settings.ts";
import type { NameAddresses } from "./hosts-file.ts";
import type { Timers } from "./timers.ts";

/** One SRV record. */
export interface ServiceRecord {
  /** Name of the host that offers the service, absolute, without last dot. */
  readonly target: string;
  readonly port: number;
  /** 1..65535. */
  readonly weight: number;
}

/** What the DNS says of a name. */
export type LookupAnswer =
  /** At least one address, of either family. */
  | ({ readonly type: "addresses"; readonly ttlMs: number } & NameAddresses)
  /** At least one record, all of the same, lowest priority. */
  | { readonly type: "services"; readonly records: readonly ServiceRecord[]; readonly ttlMs: number }
  /** There is no such name, or it has nothing to connect to. */
  | { readonly type: "not_found"; readonly reason: string; readonly ttlMs: number | null }
  /** Nobody could say. */
  | { readonly type: "failed"; readonly message: string };

/** What is looked for: the addresses of a host, a service's records, or a service and, without one, a host. */
export type LookupKind = "host" | "service" | "service_or_host";

/** Asks once. Never rejects. */
export type LookupName = (name: string, kind: LookupKind) => Promise<LookupAnswer>;

/** Which addresses count: of a name with both, those of the first named are used, or those that connect faster. */
export type AddressFamilies = "fastest" | "ipv4-first" | "ipv6-first" | "ipv4" | "ipv6";

export interface LookupOptions {
  readonly query: (question: DnsQuestion) => Promise<DnsAnswer>;
  readonly settings: () => Pick<ResolverSettings, "search" | "ndots">;
  readonly families: AddressFamilies;
  readonly timers: Timers;
}

/**
 * How long the addresses of one family wait for those of the other: some servers never reply when they are asked for AAAA.
 * Source: RFC 8305 section 3, which has 50 ms for a person who waits; nobody does here.
 */
const FAMILY_WAIT_MS = 300;

/** Lookups in the DNS, through the search domains. */
export function lookupName(options: LookupOptions): LookupName {
  return async (name, kind) => {
    let answer: LookupAnswer = { type: "not_found", reason: "cannot be asked for", ttlMs: null };
    for (const candidate of namesToTry(name, options.settings())) {
      // What cannot be asked for is not there.
      if (!isAskable(candidate)) continue;
      answer = await lookupAbsolute(options, candidate, kind);
      // While nobody can say whether the first is there, the next one could be somebody else's.
      if (answer.type !== "not_found") return answer;
    }
    return answer;
  };
}

async function lookupAbsolute(options: LookupOptions, name: string, kind: LookupKind): Promise<LookupAnswer> {
  if (kind === "host") return lookupAddresses(options, name);
  const services = await lookupServices(options, name);
  return kind === "service" || services.type !== "not_found" ? services : lookupAddresses(options, name);
}

async function lookupServices({ query }: LookupOptions, name: string): Promise<LookupAnswer> {
  const answer = await query({ name, kind: "SRV" });
  if (answer.type !== "records") return noAnswer(answer);
  // A target of "." says that there is decidedly no such service (RFC 2782).
  const offered = answer.records.filter((record) => record.kind === "SRV").filter(({ target }) => target !== "");
  if (offered.length === 0) return { type: "not_found", reason: "the service is not offered", ttlMs: answer.ttlMs };
  const priority = Math.min(...offered.map((record) => record.priority));
  const records = offered
    .filter((record) => record.priority === priority)
    // Kong's way: a weight of 0 is a small one, not none.
    .map(({ target, port, weight }) => ({ target, port, weight: Math.max(weight, 1) }));
  return { type: "services", records, ttlMs: answer.ttlMs };
}

async function lookupAddresses(options: LookupOptions, name: string): Promise<LookupAnswer> {
  const { query, families } = options;
  if (families === "ipv4") return oneFamily(await query({ name, kind: "A" }));
  if (families === "ipv6") return oneFamily(await query({ name, kind: "AAAA" }));
  const [v4, v6] = await bothFamilies(options, query({ name, kind: "A" }), query({ name, kind: "AAAA" }));
  if (v4.type === "records" || v6.type === "records") {
    const found = [v4, v6].filter((answer) => answer.type === "records");
    const ttlMs = Math.min(...found.map((answer) => answer.ttlMs));
    return { type: "addresses", v4: addressesIn(v4), v6: addressesIn(v6), ttlMs };
  }
  // One says that there is nothing of its family: that is no word on the other.
  const failed = [v4, v6].find((answer) => answer.type === "failed");
  if (failed !== undefined) return noAnswer(failed);
  return mergeNone(v4, v6);
}

/** Both answers; but when one has addresses, the other may not keep them back. */
async function bothFamilies({ timers }: LookupOptions, ...asked: [Promise<DnsAnswer>, Promise<DnsAnswer>]) {
  const late: DnsAnswer = { type: "failed", message: "not waited for" };
  let cancel = () => {};
  const tooLate = new Promise<DnsAnswer>((resolve) => {
    const hurry = (answer: DnsAnswer) => {
      if (answer.type === "records") cancel = timers.after(FAMILY_WAIT_MS, () => resolve(late));
    };
    for (const one of asked) void one.then(hurry);
  });
  const answers = await Promise.all(asked.map((one) => Promise.race([one, tooLate])));
  cancel();
  return answers as [DnsAnswer, DnsAnswer];
}

function oneFamily(answer: DnsAnswer): LookupAnswer {
  if (answer.type !== "records") return noAnswer(answer);
  const addresses = addressesIn(answer);
  const isV6 = answer.records[0]!.kind === "AAAA";
  return { type: "addresses", v4: isV6 ? [] : addresses, v6: isV6 ? addresses : [], ttlMs: answer.ttlMs };
}

function addressesIn(answer: DnsAnswer): string[] {
  return answer.type === "records" ? answer.records.filter(isAddress).map((record) => record.address) : [];
}

function isAddress(record: DnsRecord): record is DnsRecord & { kind: "A" | "AAAA" } {
  return record.kind === "A" || record.kind === "AAAA";
}

function noAnswer(answer: Exclude<DnsAnswer, { type: "records" }>): LookupAnswer {
  return answer.type === "failed" ? answer : { ...answer, type: "not_found" };
}

function mergeNone(v4: DnsAnswer, v6: DnsAnswer): LookupAnswer {
  const ttls = [v4, v6].flatMap((answer) => (answer.type === "none" && answer.ttlMs !== null ? [answer.ttlMs] : []));
  const isGone = v4.type === "none" && v4.reason === "no such name";
  return {
    type: "not_found",
    reason: isGone ? "no such name" : "no address",
    ttlMs: ttls.length > 0 ? Math.min(...ttls) : null,
  };
}
