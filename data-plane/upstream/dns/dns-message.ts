import { isIP } from "node:net";
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED } from "dns-packet";

/** The kinds of records that are asked for. */
export type RecordKind = "A" | "AAAA" | "SRV";

export interface DnsQuestion {
  /** Absolute, lower-case, without the dot of the root. */
  readonly name: string;
  readonly kind: RecordKind;
}

/** A record of an answer; names are lower-case, without the dot of the root. */
export type DnsRecord = { readonly name: string; readonly ttlMs: number } & (
  | { readonly kind: "A" | "AAAA"; readonly address: string }
  | { readonly kind: "CNAME"; readonly target: string }
  | {
      readonly kind: "SRV";
      /** "" where the service is decidedly not offered (RFC 2782). */
      readonly target: string;
      readonly port: number;
      readonly priority: number;
      readonly weight: number;
    }
);

/** What a name server said to one question. */
export interface DnsReply {
  readonly rcode: number;
  readonly isTruncated: boolean;
  /** Those of the kinds above that make sense, in their order. */
  readonly records: readonly DnsRecord[];
  /** How long it may be believed that there is nothing (RFC 2308); null where the server does not say. */
  readonly negativeTtlMs: number | null;
  /** The server neither knows nor asks others: it names servers that might know. */
  readonly isReferral: boolean;
}

export const rcodes = { noError: 0, formatError: 1, nameError: 3, notImplemented: 4 } as const;

const rcodeNames = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

export function rcodeName(rcode: number): string {
  return rcodeNames[rcode] ?? `rcode ${rcode}`;
}

/** What passes through every network unfragmented (DNS flag day 2020); larger answers come truncated. */
const UDP_PAYLOAD_BYTES = 1_232;

/** Whether a name can be asked for at all. Underscores are no part of hostnames, but of many names. */
export function isAskable(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i.test(name);
}

/** A question as it is sent, recursion desired. @param usesEdns whether the server may send more than 512 bytes */
export function encodeQuestion(id: number, { name, kind }: DnsQuestion, usesEdns: boolean): Buffer {
  const edns = {
    ...{ type: "OPT" as const, name: ".", udpPayloadSize: UDP_PAYLOAD_BYTES, flags: 0, options: [] },
    ...{ extendedRcode: 0, ednsVersion: 0, flag_do: false },
  };
  return encode({
    type: "query",
    id,
    flags: RECURSION_DESIRED,
    questions: [{ type: kind, name, class: "IN" }],
    additionals: usesEdns ? [edns] : [],
  });
}

/** The reply to the question; null for anything else, such as what somebody sends who guesses. Never throws. */
export function readReply(bytes: Buffer, id: number, question: DnsQuestion): DnsReply | null {
  let packet: DecodedPacket;
  try {
    packet = decode(bytes);
  } catch {
    return null;
  }
  const asked = packet.questions?.[0];
  const isOurs =
    packet.id === id && packet.flag_qr && asked?.type === question.kind && plainName(asked.name) === question.name;
  if (!isOurs) return null;
  const records = (packet.answers ?? []).map(readRecord).filter((record) => record !== null);
  return {
    rcode: packet.flags! & 0xf,
    isTruncated: packet.flag_tc,
    records,
    negativeTtlMs: negativeTtlOf(packet.authorities ?? []),
    isReferral: !packet.flag_aa && !packet.flag_ra && records.length === 0 && hasNameServers(packet),
  };
}

function readRecord(answer: Answer): DnsRecord | null {
  if (answer.type !== "A" && answer.type !== "AAAA" && answer.type !== "CNAME" && answer.type !== "SRV") return null;
  if (answer.class !== "IN") return null;
  const head = { name: plainName(answer.name), ttlMs: ttlMsOf(answer.ttl) };
  if (answer.type === "CNAME") {
    const target = plainName(answer.data);
    return isAskable(target) ? { ...head, kind: "CNAME", target } : null;
  }
  if (answer.type === "SRV") {
    const { port, priority = 0, weight = 0 } = answer.data;
    const target = plainName(answer.data.target);
    if (target !== "" && !isAskable(target)) return null;
    return { ...head, kind: "SRV", target, port, priority, weight };
  }
  if (isIP(answer.data) !== (answer.type === "A" ? 4 : 6)) return null;
  return { ...head, kind: answer.type, address: answer.data };
}

/** Source: RFC 2181 section 8, a time with its highest bit set is none. */
function ttlMsOf(seconds = 0): number {
  return seconds >= 2 ** 31 ? 0 : seconds * 1_000;
}

/** Source: RFC 2308 section 5, the lesser of the SOA's own time to live and its last field. */
function negativeTtlOf(authorities: readonly Answer[]): number | null {
  for (const record of authorities) {
    if (record.type === "SOA") return Math.min(ttlMsOf(record.ttl), ttlMsOf(record.data.minimum));
  }
  return null;
}

function hasNameServers({ authorities = [] }: DecodedPacket): boolean {
  return authorities.some(({ type }) => type === "NS");
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
