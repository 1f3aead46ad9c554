import { Resolver } from "node:dns/promises";

/** What the DNS says of a name. */
export type LookupAnswer =
  | { readonly type: "found"; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** There is no such name, or it has no address. */
  | { readonly type: "not_found" }
  /** Nobody could say: a timeout, a server failure. */
  | { readonly type: "failed"; readonly message: string };

/** Asks once. Never rejects. */
export type LookupAddresses = (name: string) => Promise<LookupAnswer>;

export interface DnsOptions {
  /** How long one server may take to answer, the first time it is asked. */
  readonly timeoutMs: number;
  /** How often each server is asked. */
  readonly tries: number;
  /** Addresses of the servers; those of the system's configuration when left out. */
  readonly servers?: readonly string[];
}

/** Lookups in the DNS: all A records, or where there are none all AAAA records. */
export function dnsLookup(options: DnsOptions): LookupAddresses {
  let resolver = openResolver(options);
  return async (name) => {
    const v4 = await query((type) => resolver.resolve4(name, type));
    const answer = v4.type === "not_found" ? await query((type) => resolver.resolve6(name, type)) : v4;
    // A resolver reads the system's configuration when it is made; after a failure that may have changed.
    if (answer.type === "failed") resolver = openResolver(options);
    return answer;
  };
}

function openResolver(options: DnsOptions): Resolver {
  const resolver = new Resolver({ timeout: options.timeoutMs, tries: options.tries });
  if (options.servers !== undefined) resolver.setServers(options.servers);
  return resolver;
}

type Query = (type: { readonly ttl: true }) => Promise<readonly { readonly address: string; readonly ttl: number }[]>;

async function query(run: Query): Promise<LookupAnswer> {
  try {
    const records = await run({ ttl: true });
    if (records.length === 0) return { type: "not_found" };
    return {
      type: "found",
      addresses: records.map((record) => record.address),
      ttlMs: 1000 * Math.min(...records.map((record) => record.ttl)),
    };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    // EBADNAME: what cannot be asked for is not there.
    if (code === "ENOTFOUND" || code === "ENODATA" || code === "EBADNAME") return { type: "not_found" };
    return { type: "failed", message: code ?? message };
  }
}
