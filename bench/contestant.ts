/** What a subject is configured with. */
export interface Routing {
  /** The first is `/bench`, the others are as routePrefix says. */
  readonly routeCount: number;
  /** The routes are dealt out over them; all of them have the same two targets. */
  readonly upstreamCount: number;
}

/** One row of a workload's results: a program, and how it is set up and asked. */
export interface Contestant {
  /** As the results call it. */
  readonly name: string;
  readonly program: string;
  readonly routing: Routing;
  readonly hasAccessLog: boolean;
  /** "fixed": every request goes to the first route. */
  readonly paths: "fixed" | "random";
  /** Fields of its upstreams beside their names, as the REST face takes them; only of ours. */
  readonly upstream: Readonly<Record<string, unknown>>;
}

interface Differences {
  readonly paths?: Contestant["paths"];
  readonly hasAccessLog?: boolean;
  readonly upstream?: Contestant["upstream"];
}

/** The programs that ours is compared with. nginx is what ratios are against. */
export const peerPrograms = ["nginx", "haproxy", "envoy", "caddy", "node-undici"] as const;

export function ours(name: string, routing: Routing, differences: Differences = {}): Contestant {
  return { name, program: "penstock", routing, hasAccessLog: false, paths: "fixed", upstream: {}, ...differences };
}

export function peersAlongside(
  routing: Routing,
  { programs = peerPrograms, ...differences }: Differences & { readonly programs?: readonly string[] } = {},
): Contestant[] {
  return programs.map((program) => ({ ...ours(program, routing, differences), program }));
}

export function routePrefix(route: number): string {
  return route === 0 ? "/bench" : `/team-${route % 97}/service-${route}`;
}
