import type { HostsTable } from "./hosts-file.ts";
import type { AddressFamilies, LookupName } from "./lookup-name.ts";
import type { RaceFamilies } from "./race-families.ts";
import type { Timers } from "./timers.ts";

export interface NameResolverOptions {
  readonly lookup: LookupName;
  /** Asked before the DNS. */
  readonly hosts: HostsTable;
  readonly families: AddressFamilies;
  readonly race: RaceFamilies;
  /** Whether every name may be that of a service; else those are that begin like one, with `_service._protocol.`. */
  readonly everyNameMayBeService?: boolean;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** Called when a name stands for other endpoints than before; with the name as `nameKey` gives it. */
  readonly onChange: (name: string) => void;
  /** Called when a lookup brought nothing. */
  readonly onProblem?: (problem: NameProblem) => void;
  /** Called when a name that had a problem has none any more. */
  readonly onRecovery?: (name: string) => void;
  readonly limits?: Partial<NameResolverLimits>;
}

export interface NameProblem {
  readonly name: string;
  readonly problem: string;
  /** What is used meanwhile. */
  readonly keptAddresses: readonly string[];
  /** Whether the lookup before this one succeeded. */
  readonly isNew: boolean;
}

/** A host that is to be resolved, and a port that it is connected to at. */
export interface NameUse {
  readonly host: string;
  readonly port: number;
}

export interface NameResolverLimits {
  /** A shorter time to live is taken as this. */
  readonly ttlFloorMs: number;
  /** A longer time to live is taken as this. */
  readonly ttlCeilingMs: number;
  /** How soon a name that is not there is asked for again where the name server does not say. */
  readonly notFoundRetryMs: number;
  /** What the name server says of that is taken as at most this. */
  readonly notFoundCeilingMs: number;
  /** How soon a failed lookup is repeated; doubles with every further failure, up to `failureRetryMaxMs`. */
  readonly failureRetryMs: number;
  readonly failureRetryMaxMs: number;
  /** How long the last good answer stays in force after the DNS began to say that there is nothing. */
  readonly vanishedKeepMs: number;
  /** How long it stays after lookups began to bring nothing, for whatever reason. */
  readonly outageKeepMs: number;
  /** Time between races of the families of a name that has addresses of both. */
  readonly raceIntervalMs: number;
  /** Lookups under way at once, and as many races; others wait their turn. */
  readonly lookupsMax: number;
  /** Addresses used of one name, and records of one service. */
  readonly addressesMax: number;
}

export const defaultNameLimits: NameResolverLimits = {
  ttlFloorMs: 1_000,
  ttlCeilingMs: 3_600_000,
  notFoundRetryMs: 5_000,
  notFoundCeilingMs: 30_000,
  failureRetryMs: 1_000,
  failureRetryMaxMs: 30_000,
  vanishedKeepMs: 3_600_000,
  outageKeepMs: 86_400_000,
  raceIntervalMs: 600_000,
  lookupsMax: 64,
  addressesMax: 256,
};
