import type { ProbeConfig } from "../config/health-check-config.ts";

/** Where a probe goes. */
export interface ProbePlace {
  /** IP literal. */
  readonly address: string;
  readonly port: number;
  /** As the target is configured: a hostname or an IP literal without brackets. */
  readonly host: string;
}

/** Where the endpoint is probed, which may be at another port than it serves at. */
export function probePlace({ address, port, host }: ProbePlace, probe: ProbeConfig): ProbePlace {
  return { address, port: probe.port ?? port, host };
}

/** The Host of a probe, as Kong has it: without the port. */
export function probeHost({ host }: ProbePlace, { hostHeader }: ProbeConfig): string {
  return hostHeader ?? (host.includes(":") ? `[${host}]` : host);
}
