/** What the main thread counts since the node started; workers count what concerns traffic. */
export interface NodeCounters {
  snapshotsAppliedCount: number;
  snapshotsRefusedCount: number;
  /** Snapshots that could not be written to disk. */
  snapshotSaveFailuresCount: number;
  workersLostCount: number;
  ejectionsCount: number;
  readmissionsCount: number;
  probesFailedCount: number;
  nameProblemsCount: number;
}

export function nodeCounters(): NodeCounters {
  return {
    snapshotsAppliedCount: 0,
    snapshotsRefusedCount: 0,
    snapshotSaveFailuresCount: 0,
    workersLostCount: 0,
    ejectionsCount: 0,
    readmissionsCount: 0,
    probesFailedCount: 0,
    nameProblemsCount: 0,
  };
}
