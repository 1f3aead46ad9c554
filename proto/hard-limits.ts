/**
 * The most that a configuration may hold, known to both planes: a control plane refuses the write that would exceed it,
 * and a node that is handed more all the same refuses that, too. Both ask the functions below; each says who it is that
 * takes no more.
 */
export interface HardLimits {
  readonly routesMax: number;
  readonly servicesMax: number;
  readonly upstreamsMax: number;
  readonly targetsMax: number;
  readonly targetsPerUpstreamMax: number;
  /** Certificates, and as many authorities. */
  readonly certificatesMax: number;
  readonly serverNamesMax: number;
  /** Of all bodies together, as stored. */
  readonly bodyBytesMax: number;
}

export const HARD_LIMITS: HardLimits = {
  routesMax: 100_000,
  servicesMax: 100_000,
  upstreamsMax: 16_384,
  targetsMax: 200_000,
  targetsPerUpstreamMax: 10_000,
  certificatesMax: 10_000,
  serverNamesMax: 100_000,
  bodyBytesMax: 256 * 1024 * 1024,
};

/** What is too much, and the field of the entity that is one too many; "" for the entity itself. */
export interface Excess {
  readonly field: string;
  /** To be followed by who takes no more. */
  readonly message: string;
}

/** The kinds of entities that a configuration has a limited number of. */
export type LimitedKind = keyof ReturnType<typeof maxCounts>;

function maxCounts(limits: Omit<HardLimits, "bodyBytesMax">) {
  return {
    route: limits.routesMax,
    service: limits.servicesMax,
    upstream: limits.upstreamsMax,
    target: limits.targetsMax,
    // One per target, and one per address of those that people decided on by address.
    health_override: 10 * limits.targetsMax,
    certificate: limits.certificatesMax,
    ca_certificate: limits.certificatesMax,
    sni: limits.serverNamesMax,
    ticket_key: 1,
  };
}

/** How many of a kind there may be. */
export function maxCountOf(kind: LimitedKind, limits: Omit<HardLimits, "bodyBytesMax">): number {
  return maxCounts(limits)[kind];
}

/** Why one more of a kind is one too many; null where it is not. @param count with it */
export function countExcess(kind: LimitedKind, count: number, limits: Omit<HardLimits, "bodyBytesMax">): Excess | null {
  const max = maxCountOf(kind, limits);
  return count <= max ? null : { field: "", message: `there are ${max} of this kind already` };
}

/** Why one more target of an upstream is one too many; null where it is not. @param count with it */
export function targetsExcess(
  count: number,
  { targetsPerUpstreamMax: max }: Pick<HardLimits, "targetsPerUpstreamMax">,
): Excess | null {
  return count <= max ? null : { field: "upstream", message: `has ${max} targets already` };
}

/** Why a configuration is too large; null where it is not. @param bodyBytes of all bodies together */
export function bytesExcess(bodyBytes: number, { bodyBytesMax: max }: Pick<HardLimits, "bodyBytesMax">): Excess | null {
  return bodyBytes <= max ? null : { field: "", message: `the configuration would be larger than ${max} bytes` };
}
