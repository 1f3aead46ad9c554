import type { RouteConfig } from "../config/worker-config.ts";
import { compileHeaderPattern, isHeaderPattern } from "./path-pattern.ts";
import type { HeaderLookup, RouteInput } from "./route-input.ts";

/** What a route asks of a request besides host and path, which the indexes have answered. */
export interface RouteConditions {
  /** An http-only route has no business with https. The other way round the route matches, and redirects. */
  readonly isPlainOnly: boolean;
  /** Asked only of requests over TLS: over plain HTTP the route matches, and redirects. null = any. */
  readonly snis: SniCondition | null;
  /** null = any. */
  readonly methods: readonly string[] | null;
  /** All must hold; null = none. */
  readonly headers: readonly HeaderCondition[] | null;
}

interface SniCondition {
  readonly names: readonly string[];
  /** What follows a leading "*", from the dot on. */
  readonly endings: readonly string[];
  /** What comes before a trailing "*", with the dot. */
  readonly beginnings: readonly string[];
}

export interface HeaderCondition {
  /** Spellings of the name, lower case. */
  readonly names: readonly string[];
  /** Lower case. */
  readonly values: readonly string[];
  readonly patterns: readonly ((value: string) => boolean)[];
}

/** Throws when a header pattern does not compile: such a snapshot was refused before. */
export function compileConditions(route: RouteConfig): RouteConditions {
  const isPlainOnly = !route.protocols.includes("https") && !route.protocols.includes("grpcs");
  if (!hasValues(route.snis) && !hasValues(route.methods) && !hasValues(route.headers)) {
    return isPlainOnly ? plainOnly : anything;
  }
  return {
    isPlainOnly,
    snis: hasValues(route.snis) ? compileSniCondition(route.snis) : null,
    methods: hasValues(route.methods) ? route.methods : null,
    headers: hasValues(route.headers) ? route.headers.map(compileHeaderCondition) : null,
  };
}

/** Most routes ask nothing else: they share what says so. */
const anything: RouteConditions = { isPlainOnly: false, snis: null, methods: null, headers: null };
const plainOnly: RouteConditions = { isPlainOnly: true, snis: null, methods: null, headers: null };

/** Lists that are empty count as absent. */
export function hasValues<T>(list: readonly T[] | null): list is readonly T[] {
  return list !== null && list.length > 0;
}

export function meetsConditions(conditions: RouteConditions, input: RouteInput): boolean {
  if (!meetsProtocol(conditions, input) || !meetsServerName(conditions, input)) return false;
  if (!meetsMethod(conditions, input)) return false;
  return conditions.headers === null || meetsHeaders(conditions.headers, input.headers);
}

export function meetsProtocol({ isPlainOnly }: RouteConditions, { protocol }: RouteInput): boolean {
  return !isPlainOnly || protocol !== "https";
}

export function meetsServerName({ snis }: RouteConditions, { protocol, sni }: RouteInput): boolean {
  return snis === null || protocol !== "https" || meetsSni(snis, sni);
}

export function meetsMethod({ methods }: RouteConditions, { method }: RouteInput): boolean {
  return methods === null || methods.includes(method);
}

/** A lone "*" is any name, but a name there must be. */
function compileSniCondition(snis: readonly string[]): SniCondition {
  return {
    names: snis.filter((sni) => !sni.includes("*")),
    endings: snis.filter((sni) => sni.startsWith("*")).map((sni) => sni.slice(1)),
    beginnings: snis.filter((sni) => sni.endsWith("*") && sni !== "*").map((sni) => sni.slice(0, -1)),
  };
}

/** Wildcards stand for any number of labels, as those of hosts do. */
function meetsSni({ names, endings, beginnings }: SniCondition, sni: string): boolean {
  if (sni === "") return false;
  if (names.includes(sni)) return true;
  for (let i = 0; i < endings.length; i++) {
    if (sni.length > endings[i]!.length && sni.endsWith(endings[i]!)) return true;
  }
  for (let i = 0; i < beginnings.length; i++) {
    if (sni.length > beginnings[i]!.length && sni.startsWith(beginnings[i]!)) return true;
  }
  return false;
}

function compileHeaderCondition(header: {
  readonly name: string;
  readonly values: readonly string[];
}): HeaderCondition {
  const name = header.name.toLowerCase();
  return {
    // Kong takes "-" and "_" in names for the same.
    names: [...new Set([name, name.replaceAll("_", "-"), name.replaceAll("-", "_")])],
    values: header.values.filter((value) => !isHeaderPattern(value)).map((value) => value.toLowerCase()),
    patterns: header.values.filter(isHeaderPattern).map(compileHeaderPattern),
  };
}

function meetsHeaders(conditions: readonly HeaderCondition[], headers: HeaderLookup): boolean {
  for (let i = 0; i < conditions.length; i++) {
    if (!meetsHeader(conditions[i]!, headers)) return false;
  }
  return true;
}

/** Any value of the field may be any of the wanted ones. */
export function meetsHeader(condition: HeaderCondition, headers: HeaderLookup): boolean {
  for (let n = 0; n < condition.names.length; n++) {
    const values = headers.values(condition.names[n]!);
    for (let v = 0; v < values.length; v++) {
      if (isWanted(values[v]!, condition)) return true;
    }
  }
  return false;
}

function isWanted(value: string, condition: HeaderCondition): boolean {
  if (condition.values.includes(value.toLowerCase())) return true;
  for (let i = 0; i < condition.patterns.length; i++) if (condition.patterns[i]!(value)) return true;
  return false;
}
