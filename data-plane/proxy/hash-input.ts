import { randomUUID } from "node:crypto";
import { hash32 } from "../balance/hash32.ts";
import { isAmong } from "../balance/tried-endpoints.ts";
import type { HashInputConfig } from "../config/balancing-config.ts";
import type { RequestHead } from "../http1/request-head.ts";
import type { NormalPath } from "../route/normalize-path.ts";
import type { RouteMatch } from "../route/route-input.ts";
import type { Exchange } from "./exchange.ts";
import { requestCookie, setCookieLine } from "./request-cookie.ts";

/** What of a request may be hashed; `bytes` is what `head` was parsed from. */
export interface RequestParts {
  readonly head: RequestHead;
  readonly bytes: Buffer;
  readonly match: RouteMatch;
  readonly path: NormalPath;
  /** With its question mark; "" for none. */
  readonly query: string;
}

/**
 * Reads what ties a request to an endpoint: what the pool hashes, or the cookie of its sticky sessions. Once per request,
 * for all of its attempts. A client without the cookie that is hashed is given one with its answer.
 */
export function readAffinity(exchange: Exchange, parts: RequestParts): void {
  const { hash, sticky } = exchange.pool!.config.balancing;
  if (sticky !== null) exchange.stickyKey = requestCookie(parts.head.fields, parts.bytes, sticky.name);
  if (hash === null) return;
  const text =
    givenInput(exchange, hash.on, parts) ||
    (hash.fallback === null ? "" : givenInput(exchange, hash.fallback, parts)) ||
    exchange.clientAddress;
  exchange.hash = hash32(text);
}

/** The header line with the cookie that the client is given with the answer of its endpoint; "" for none. */
export function affinityLine(exchange: Exchange): string {
  const { pool, endpoint, stickyKey, cookieLine } = exchange;
  const { sticky } = pool!.config.balancing;
  const key = endpoint!.stickyKey;
  if (sticky === null || key === "" || key === stickyKey || isSessionKept(exchange)) return cookieLine;
  return setCookieLine(sticky, key);
}

/**
 * Of a request that goes elsewhere: whether its session stays where it is all the same. So it does at an endpoint that has
 * merely no room; one that is out, is being emptied, or has failed this request, loses it.
 */
export function isSessionKept({ engine, pool, stickyKey, tried }: Exchange): boolean {
  if (stickyKey === "") return false;
  const { endpoints } = pool!.set;
  for (let i = 0; i < endpoints.length; i++) {
    const each = endpoints[i]!;
    if (each.stickyKey !== stickyKey) continue;
    return each.weight > 0 && !engine.endpoints.isOut(each.row) && !isAmong(tried, each);
  }
  return false;
}

/** What a request has of the kind; a client without the cookie is given one. */
function givenInput(exchange: Exchange, input: HashInputConfig, parts: RequestParts): string {
  const value = hashInput(exchange.clientAddress, input, parts);
  if (value !== "" || input.kind !== "cookie") return value;
  const given = randomUUID();
  exchange.cookieLine = setCookieLine(input, given);
  return given;
}

/** "" where the request has nothing of the kind. */
export function hashInput(clientAddress: string, input: HashInputConfig, parts: RequestParts): string {
  switch (input.kind) {
    case "ip":
      return clientAddress;
    case "path":
      return parts.path;
    case "header":
      return fieldValues(parts, input.name);
    case "cookie":
      return requestCookie(parts.head.fields, parts.bytes, input.name);
    case "query_arg":
      return queryValues(parts.query, input.name);
    case "uri_capture":
      return parts.match.pattern?.captured(parts.path, input.name) ?? "";
    case "consumer":
      // Nobody is authenticated.
      return "";
  }
}

/** Of all fields of that name, in their order. @param name in lower case */
function fieldValues({ head, bytes }: RequestParts, name: string): string {
  const { fields } = head;
  let text = "";
  for (let index = 0; index < fields.count; index++) {
    if (!fields.isNamed(index, bytes, name)) continue;
    const value = fields.valueAt(index, bytes);
    text = text === "" ? value : `${text},${value}`;
  }
  return text;
}

/** Of all arguments of that name, decoded and sorted, so that their order makes no difference. */
function queryValues(query: string, name: string): string {
  if (query.length < 2) return "";
  const values: string[] = [];
  for (const argument of query.slice(1).split("&")) {
    const equals = argument.indexOf("=");
    if (decoded(equals < 0 ? argument : argument.slice(0, equals)) !== name) continue;
    values.push(equals < 0 ? "" : decoded(argument.slice(equals + 1)));
  }
  return values.sort().join(",");
}

/** What is not percent-encoded UTF-8 stands for itself. */
function decoded(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
