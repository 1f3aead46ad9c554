import { PathIndex, type RankedMatch } from "./path-index.ts";
import type { RouteInput } from "./route-input.ts";

const DOT = 0x2e;

/**
 * The path indexes by host: exact names, names with a wildcard as first (`*.example.com`) or last label
 * (`example.*`), each also with a port, and the routes that take any host. Looked up by hash; wildcards cost
 * one lookup per dot of the host and only where there are some.
 */
export class HostIndex {
  readonly #exact = new Map<string, PathIndex>();
  /** By what the host ends in, from the dot on. */
  readonly #endings = new Map<string, PathIndex>();
  /** By what the host begins with, up to and with the dot. */
  readonly #beginnings = new Map<string, PathIndex>();
  readonly #anyHost = new PathIndex();
  /** Whether any rule names a port: else no key with a port is ever looked up. */
  #hasPorts = false;

  /** The index of one host rule (with or without wildcard and port); null = any host. */
  pathsOf(hostRule: string | null): PathIndex {
    if (hostRule === null) return this.#anyHost;
    const { kind, key, port } = readHostRule(hostRule);
    if (kind === "any") return this.#anyHost;
    if (port !== "") this.#hasPorts = true;
    if (kind === "ending") return pathsAt(this.#endings, key + port);
    return pathsAt(kind === "beginning" ? this.#beginnings : this.#exact, key + port);
  }

  /** Call once, after the last `pathsOf(...).add(...)`. */
  link(): void {
    this.#anyHost.link();
    for (const hosts of [this.#exact, this.#endings, this.#beginnings]) {
      for (const paths of hosts.values()) paths.link();
    }
  }

  search(input: RouteInput): RankedMatch | null {
    let best: RankedMatch | null = null;
    if (this.#exact.size > 0) best = this.#searchKey(this.#exact, input.host, input, best);
    if (this.#endings.size > 0 || this.#beginnings.size > 0) best = this.#searchWildcards(input, best);
    return this.#anyHost.search(input, best);
  }

  #searchWildcards(input: RouteInput, best: RankedMatch | null): RankedMatch | null {
    const host = input.host;
    let found = best;
    for (let i = 0; i < host.length; i++) {
      if (host.charCodeAt(i) !== DOT) continue;
      if (this.#endings.size > 0) found = this.#searchKey(this.#endings, host.slice(i), input, found);
      if (this.#beginnings.size > 0) found = this.#searchKey(this.#beginnings, host.slice(0, i + 1), input, found);
    }
    return found;
  }

  /** Under the key alone, and with the request's port where rules have one. */
  #searchKey(
    hosts: ReadonlyMap<string, PathIndex>,
    key: string,
    input: RouteInput,
    best: RankedMatch | null,
  ): RankedMatch | null {
    let found = best;
    const paths = hosts.get(key);
    if (paths !== undefined) found = paths.search(input, found);
    if (!this.#hasPorts) return found;
    const pathsWithPort = hosts.get(`${key}:${input.port}`);
    return pathsWithPort === undefined ? found : pathsWithPort.search(input, found);
  }
}

/** Whether one host rule takes the request's host: whether a search comes to what is indexed under the rule. */
export function takesHost(hostRule: string, { host, port: requestPort }: Pick<RouteInput, "host" | "port">): boolean {
  const { kind, key, port } = readHostRule(hostRule);
  if (kind === "any") return true;
  if (port !== "" && port !== `:${requestPort}`) return false;
  if (kind === "exact") return key === host;
  for (let i = 0; i < host.length; i++) {
    if (host.charCodeAt(i) !== DOT) continue;
    if (key === (kind === "ending" ? host.slice(i) : host.slice(0, i + 1))) return true;
  }
  return false;
}

interface HostRule {
  readonly kind: "any" | "exact" | "ending" | "beginning";
  /** Without wildcard and port. */
  readonly key: string;
  /** ":port", or "". */
  readonly port: string;
}

function readHostRule(hostRule: string): HostRule {
  if (hostRule === "*") return { kind: "any", key: "", port: "" };
  const [name, port] = splitPort(hostRule.toLowerCase());
  if (name.startsWith("*")) return { kind: "ending", key: name.slice(1), port };
  if (name.endsWith("*")) return { kind: "beginning", key: name.slice(0, -1), port };
  return { kind: "exact", key: name, port };
}

/** Name and ":port" ("" without one). The colons of a bracketed IPv6 address are no port. */
function splitPort(rule: string): readonly [string, string] {
  const colon = rule.lastIndexOf(":");
  return colon === -1 || rule.endsWith("]") ? [rule, ""] : [rule.slice(0, colon), rule.slice(colon)];
}

function pathsAt(hosts: Map<string, PathIndex>, key: string): PathIndex {
  let paths = hosts.get(key);
  if (paths === undefined) {
    paths = new PathIndex();
    hosts.set(key, paths);
  }
  return paths;
}
