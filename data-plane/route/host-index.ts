import { LayeredMap, type LayeredMapEdit } from "./layered-map.ts";
import { type Candidate, PathIndex, type PathIndexEdit } from "./path-index.ts";
import type { RouteInput } from "./route-input.ts";

const DOT = 0x2e;

/** The keys that rules with a wildcard are found by, and all others. */
type Kind = "exact" | "ending" | "beginning";
const kinds: readonly Kind[] = ["exact", "ending", "beginning"];
type Hosts = { readonly [K in Kind]: LayeredMap<PathIndex> };

/**
 * The path indexes by host: exact names, names with a wildcard as first (`*.example.com`) or last label
 * (`example.*`), each also with a port, and the routes that take any host. Looked up by hash; wildcards cost
 * one lookup per dot of the host and only where there are some.
 *
 * Never changed: an edit makes another one, which shares with this one the index of every host that it did not touch.
 */
export class HostIndex {
  /** What the host is, ends in from the dot on, or begins with up to and with the dot. */
  readonly #hosts: Hosts;
  readonly #anyHost: PathIndex;
  /** Whether any rule names a port: else no key with a port is ever looked up. */
  readonly #hasPorts: boolean;

  constructor(
    hosts: Hosts = { exact: new LayeredMap(), ending: new LayeredMap(), beginning: new LayeredMap() },
    anyHost: PathIndex = new PathIndex(),
    hasPorts = false,
  ) {
    this.#hosts = hosts;
    this.#anyHost = anyHost;
    this.#hasPorts = hasPorts;
  }

  edit(): HostIndexEdit {
    return new HostIndexEdit(this.#hosts, this.#anyHost, this.#hasPorts);
  }

  /** Whether so many hosts were changed that `flatSteps` should be taken. */
  get isThick(): boolean {
    return kinds.some((kind) => this.#hosts[kind].isThick);
  }

  /** The same index, as it would have been built from nothing. */
  *flatSteps(): Generator<void, HostIndex> {
    const { exact, ending, beginning } = this.#hosts;
    const hosts = {
      exact: yield* exact.flatSteps(),
      ending: yield* ending.flatSteps(),
      beginning: yield* beginning.flatSteps(),
    };
    return new HostIndex(hosts, this.#anyHost, this.#hasPorts);
  }

  search(input: RouteInput): Candidate | null {
    const { exact, ending, beginning } = this.#hosts;
    let best: Candidate | null = null;
    if (exact.size > 0) best = this.#searchKey(exact, input.host, input, best);
    if (ending.size > 0 || beginning.size > 0) best = this.#searchWildcards(input, best);
    return this.#anyHost.search(input, best);
  }

  #searchWildcards(input: RouteInput, best: Candidate | null): Candidate | null {
    const host = input.host;
    const { ending, beginning } = this.#hosts;
    let found = best;
    for (let i = 0; i < host.length; i++) {
      if (host.charCodeAt(i) !== DOT) continue;
      if (ending.size > 0) found = this.#searchKey(ending, host.slice(i), input, found);
      if (beginning.size > 0) found = this.#searchKey(beginning, host.slice(0, i + 1), input, found);
    }
    return found;
  }

  /** Under the key alone, and with the request's port where rules have one. */
  #searchKey(hosts: LayeredMap<PathIndex>, key: string, input: RouteInput, best: Candidate | null): Candidate | null {
    let found = best;
    const paths = hosts.get(key);
    if (paths !== undefined) found = paths.search(input, found);
    if (!this.#hasPorts) return found;
    const pathsWithPort = hosts.get(`${key}:${input.port}`);
    return pathsWithPort === undefined ? found : pathsWithPort.search(input, found);
  }
}

/** What becomes another index. The one that it began from stays as it is. */
export class HostIndexEdit {
  readonly #hosts: { readonly [K in Kind]: LayeredMapEdit<PathIndex> };
  /** Of the hosts whose routes change. */
  readonly #edited: { readonly [K in Kind]: Map<string, PathIndexEdit> } = {
    exact: new Map(),
    ending: new Map(),
    beginning: new Map(),
  };
  readonly #anyHost: PathIndex;
  #anyHostEdit: PathIndexEdit | null = null;
  #hasPorts: boolean;

  constructor({ exact, ending, beginning }: Hosts, anyHost: PathIndex, hasPorts: boolean) {
    this.#hosts = { exact: exact.edit(), ending: ending.edit(), beginning: beginning.edit() };
    this.#anyHost = anyHost;
    this.#hasPorts = hasPorts;
  }

  /** The paths of one host rule (with or without wildcard and port); null = any host. */
  pathsOf(hostRule: string | null): PathIndexEdit {
    const { kind, key, port } = hostRule === null ? anyHostRule : readHostRule(hostRule);
    if (kind === "any") {
      this.#anyHostEdit ??= this.#anyHost.edit();
      return this.#anyHostEdit;
    }
    // Once there was a port, one is looked for until all is built anew: that costs a lookup and no more.
    if (port !== "") this.#hasPorts = true;
    const edited = this.#edited[kind];
    const known = edited.get(key + port);
    if (known !== undefined) return known;
    const paths = (this.#hosts[kind].get(key + port) ?? new PathIndex()).edit();
    edited.set(key + port, paths);
    return paths;
  }

  /** Puts what was changed until now in its place, so that `finish` has little to do. */
  settle(): void {
    for (const kind of kinds) {
      for (const [key, paths] of this.#edited[kind]) {
        if (paths.isEmpty) this.#hosts[kind].delete(key);
        else this.#hosts[kind].set(key, paths.finish());
      }
      this.#edited[kind].clear();
    }
  }

  /** Nothing may be changed any more. */
  finish(): HostIndex {
    this.settle();
    const { exact, ending, beginning } = this.#hosts;
    const hosts = { exact: exact.finish(), ending: ending.finish(), beginning: beginning.finish() };
    return new HostIndex(hosts, this.#anyHostEdit?.finish() ?? this.#anyHost, this.#hasPorts);
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
  readonly kind: "any" | Kind;
  /** Without wildcard and port. */
  readonly key: string;
  /** ":port", or "". */
  readonly port: string;
}

const anyHostRule: HostRule = { kind: "any", key: "", port: "" };

function readHostRule(hostRule: string): HostRule {
  if (hostRule === "*") return anyHostRule;
  const [written, port] = splitPort(hostRule.toLowerCase());
  const name = withoutRootDot(written);
  if (name.startsWith("*")) return { kind: "ending", key: name.slice(1), port };
  if (name.endsWith("*")) return { kind: "beginning", key: name.slice(0, -1), port };
  return { kind: "exact", key: name, port };
}

/** `example.com.` names the same host as `example.com` (RFC 3986 section 3.2.2): it must not come past that one's routes. */
export function withoutRootDot(host: string): string {
  return host.length > 1 && host.charCodeAt(host.length - 1) === DOT ? host.slice(0, -1) : host;
}

/** Name and ":port" ("" without one). The colons of a bracketed IPv6 address are no port. */
function splitPort(rule: string): readonly [string, string] {
  const colon = rule.lastIndexOf(":");
  return colon === -1 || rule.endsWith("]") ? [rule, ""] : [rule.slice(0, colon), rule.slice(colon)];
}
