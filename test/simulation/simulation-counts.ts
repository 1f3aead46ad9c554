/** How often what was simulated came about, so that a simulation in which nothing happens is noticed. */
export interface SimulationCounts {
  writes: number;
  streams: number;
  wholes: number;
  deltas: number;
  acks: number;
  /** Acks of what an earlier stream had brought. */
  lateAcks: number;
  unknownBases: number;
  refusals: number;
  goneBack: number;
  restoredStores: number;
  turnedAway: number;
  /** Times that a node looked for a control plane and none was there. */
  absences: number;
  nodeRestarts: number;
  hubRestarts: number;
  /** Nodes that got other labels. */
  moved: number;
  /** Nodes that were sent nothing in the end, since the last publication changed nothing for them. */
  unconcerned: number;
  /** Writes that some nodes refuse. */
  poisonings: number;
  /** Things put into quarantine. */
  quarantines: number;
  /** Times that the clocks on the walls were set, forward or back. */
  clockJumps: number;
  rolloutsBegun: number;
  rolloutsHalted: number;
  rolloutsDone: number;
}

export function noCounts(): SimulationCounts {
  return {
    ...{ writes: 0, streams: 0, wholes: 0, deltas: 0, acks: 0, lateAcks: 0, unknownBases: 0, refusals: 0 },
    ...{ goneBack: 0, restoredStores: 0, turnedAway: 0, absences: 0, nodeRestarts: 0, hubRestarts: 0 },
    ...{ moved: 0, unconcerned: 0, poisonings: 0, quarantines: 0 },
    ...{ clockJumps: 0, rolloutsBegun: 0, rolloutsHalted: 0, rolloutsDone: 0 },
  };
}
