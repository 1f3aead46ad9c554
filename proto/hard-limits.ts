/**
 * The most that a configuration may hold, known to both planes: a control plane refuses the write that would exceed it,
 * and a node that is handed more all the same refuses that, too.
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
