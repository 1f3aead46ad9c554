import type { Timers } from "../timers.ts";
import { askServer, type DnsServer } from "./ask-server.ts";
import { type DnsQuestion, type DnsRecord, type DnsReply, rcodeName, rcodes } from "./dns-message.ts";

/** What is known of a question after all servers were asked that had to be. */
export type DnsAnswer =
  | {
      readonly type: "records";
      /** Of the kind that was asked for; at least one. */
      readonly records: readonly DnsRecord[];
      /** Until the first record, or alias on the way to it, expires. */
      readonly ttlMs: number;
    }
  /** No such name, or nothing of that kind. */
  | { readonly type: "none"; readonly reason: string; readonly ttlMs: number | null }
  /** Nobody could say. */
  | { readonly type: "failed"; readonly message: string };

export interface DnsClientOptions {
  readonly timers: Timers;
  /** Asked anew for every question. */
  readonly servers: () => readonly DnsServer[];
  /** How long one server may take for one reply. */
  readonly timeoutMs: number;
  /** How often each server is asked before a question is given up. */
  readonly tries: number;
  readonly onSend?: (transport: "udp" | "tcp") => void;
  /** A server did not reply, or replied that it cannot say. */
  readonly onServerFailure?: (server: string, problem: string) => void;
}

/** Aliases that are followed from one name. */
const ALIASES_MAX = 16;
/** A server that failed is asked after the others for so long. */
const FAILURE_MEMORY_MS = 30_000;

/** Asks name servers, which do the recursion, one after the other until one can say. */
export class DnsClient {
  readonly #options: DnsClientOptions;
  readonly #failedAtMs = new Map<string, number>();

  constructor(options: DnsClientOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async query({ name, kind }: DnsQuestion): Promise<DnsAnswer> {
    const seen = new Set<string>();
    let current = name;
    let ttlMs = Number.POSITIVE_INFINITY;
    for (;;) {
      const reply = await this.#ask({ name: current, kind });
      if (typeof reply === "string") return { type: "failed", message: reply };
      const { end, aliasTtlMs, isLoop } = followAliases(reply.records, current, seen);
      if (isLoop) return { type: "failed", message: `the aliases of ${name} do not end` };
      ttlMs = Math.min(ttlMs, aliasTtlMs);
      const records = reply.records.filter((record) => record.kind === kind && record.name === end);
      if (records.length > 0) {
        return { type: "records", records, ttlMs: Math.min(ttlMs, ...records.map((record) => record.ttlMs)) };
      }
      // A server that follows aliases itself says that there is nothing at their end; others leave the rest to us.
      if (reply.rcode === rcodes.nameError) {
        return { type: "none", reason: "no such name", ttlMs: reply.negativeTtlMs };
      }
      if (end === current || reply.negativeTtlMs !== null) {
        return { type: "none", reason: `no ${kind} record`, ttlMs: reply.negativeTtlMs };
      }
      current = end;
    }
  }

  /** A reply that says something, or the last reason why there is none. */
  async #ask(question: DnsQuestion): Promise<DnsReply | string> {
    const { tries, onServerFailure, ...options } = this.#options;
    let problem = "there is no name server";
    for (let attempt = 0; attempt < tries; attempt++) {
      for (const server of this.#inOrder()) {
        const text = `${server.host}:${server.port}`;
        const reply = await askServer(server, question, options).catch((cause: Error) => cause.message);
        const failure = typeof reply === "string" ? reply : failureOf(reply);
        if (typeof reply !== "string" && failure === null) {
          this.#failedAtMs.delete(text);
          return reply;
        }
        problem = `${text}: ${failure}`;
        this.#failedAtMs.set(text, this.#options.timers.nowMs());
        onServerFailure?.(text, failure!);
      }
    }
    return problem;
  }

  /** As configured, but those that failed lately last: a dead first server costs its timeout once, not each time. */
  #inOrder(): DnsServer[] {
    const nowMs = this.#options.timers.nowMs();
    for (const [text, atMs] of this.#failedAtMs) {
      if (nowMs - atMs >= FAILURE_MEMORY_MS) this.#failedAtMs.delete(text);
    }
    const hasFailed = ({ host, port }: DnsServer) => Number(this.#failedAtMs.has(`${host}:${port}`));
    return [...this.#options.servers()].sort((a, b) => hasFailed(a) - hasFailed(b));
  }
}

/** Why a reply says nothing of the name; null when it does. */
function failureOf({ rcode, isReferral, isTruncated }: DnsReply): string | null {
  if (isTruncated) return "truncated over TCP";
  if (isReferral) return "does no recursion";
  return rcode === rcodes.noError || rcode === rcodes.nameError ? null : rcodeName(rcode);
}

/** Goes along the aliases within one reply. @param seen all names on the way until now, added to */
function followAliases(records: readonly DnsRecord[], start: string, seen: Set<string>) {
  let end = start;
  let aliasTtlMs = Number.POSITIVE_INFINITY;
  for (;;) {
    if (seen.has(end) || seen.size > ALIASES_MAX) return { end, aliasTtlMs, isLoop: true };
    const alias = records.find((record) => record.kind === "CNAME" && record.name === end);
    if (alias?.kind !== "CNAME") break;
    seen.add(end);
    aliasTtlMs = Math.min(aliasTtlMs, alias.ttlMs);
    end = alias.target;
  }
  return { end, aliasTtlMs, isLoop: false };
}
