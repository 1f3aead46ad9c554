import type { CookieConfig, HashInputConfig } from "../config/balancing-config.ts";
import type { EndpointConfig } from "../config/worker-config.ts";
import type { Exchange } from "./exchange.ts";
import { hashInput, isSessionKept, type RequestParts } from "./hash-input.ts";
import { readable } from "./readable.ts";

/** What ties a request to an endpoint, for people; fields as in explain.proto. */
export interface ExplainedAffinity {
  readonly hashOn: string;
  readonly hashValue: string;
  readonly hashIsMissing: boolean;
  readonly notes: readonly string[];
}

/**
 * What of a request its pool hashes, or whose session it is.
 * @param exchange of which hash-input.ts has read the same
 * @param picked who gets it
 */
export function explainAffinity(
  exchange: Exchange,
  parts: RequestParts,
  picked: EndpointConfig | null,
): ExplainedAffinity {
  const { hash, sticky } = exchange.pool!.config.balancing;
  const none = { hashOn: "", hashValue: "", hashIsMissing: false };
  if (sticky !== null) return { ...none, notes: [sessionNote(exchange, sticky, picked)] };
  if (hash === null) return { ...none, notes: [] };
  const input = hashInput(exchange.clientAddress, hash.on, parts);
  // Arguments are decoded already.
  const hashValue = hash.on.kind === "query_arg" ? input : readable(input);
  const hashOn = inputText(hash.on);
  if (hashValue !== "") return { hashOn, hashValue, hashIsMissing: false, notes: [] };
  return { hashOn, hashValue, hashIsMissing: true, notes: [insteadNote(exchange, parts)] };
}

function inputText(input: HashInputConfig): string {
  return "name" in input ? `${input.kind} ${input.name}` : input.kind;
}

/** Of a request that has nothing of what the pool hashes. */
function insteadNote({ pool, clientAddress }: Exchange, parts: RequestParts): string {
  const { on, fallback } = pool!.config.balancing.hash!;
  const missing = `the request has no ${inputText(on)}`;
  const given = `the client is given one with its answer; this pick is that of one such cookie, the next may differ`;
  if (on.kind === "cookie") return `${missing}: ${given}`;
  if (fallback === null) return `${missing}: the client's address is hashed`;
  if (hashInput(clientAddress, fallback, parts) !== "") return `${missing}: ${inputText(fallback)} is hashed`;
  const neither = `${missing}, and no ${inputText(fallback)}`;
  return `${neither}: ${fallback.kind === "cookie" ? given : "the client's address is hashed"}`;
}

function sessionNote(exchange: Exchange, { name }: CookieConfig, picked: EndpointConfig | null): string {
  const { stickyKey } = exchange;
  if (stickyKey === "") return `the request has no cookie ${name}: it begins a session, at whoever answers it`;
  if (picked?.stickyKey === stickyKey) return `its cookie ${name} names the endpoint that is picked`;
  const named = `the endpoint that its cookie ${name} names`;
  if (isSessionKept(exchange)) return `${named} is at its limit: this request goes elsewhere, the session stays`;
  return `${named} is gone, out, or emptied and at its limit: the session moves to whoever answers`;
}
