import { ProcessLosses, reportName } from "./process-losses.ts";
import type { SnapshotApplierOptions } from "./snapshot/snapshot-applier.ts";
import type { SnapshotFile } from "./snapshot/snapshot-file.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";
import { systemTimers as timers } from "./upstream/timers.ts";

export interface UnfitSnapshotsOptions {
  readonly file: Pick<SnapshotFile, "loadBefore" | "giveUp">;
  readonly losses: Pick<ProcessLosses, "refusalOf" | "takeUp">;
  readonly counters: Pick<NodeCounters, "snapshots_refused" | "snapshots_withdrawn">;
  readonly log: Pick<Log, "debug" | "error">;
}

type Told = Pick<
  SnapshotApplierOptions,
  "former" | "unfit" | "onTakenUp" | "onRefused" | "onWithdrawn" | "onRollbackFailed"
>;

/**
 * Counts how often the process is lost with what it serves, from exit codes (see `runNode`) and V8's reports.
 * @param folder of the node's state
 */
export function openProcessLosses(folder: string, log: Pick<Log, "warn">): ProcessLosses {
  const losses = new ProcessLosses({
    ...{ folder, timers },
    onReport: (report) => log.warn({ report }, "the process before ended by a fatal error"),
    onUnwritable: (problem) => log.warn({ problem }, "losses of the process will not be counted"),
  });
  const { report } = process;
  Object.assign(report, { directory: folder, filename: reportName, compact: true, excludeNetwork: true });
  Object.assign(report, { excludeEnv: true, reportOnFatalError: true });
  process.once("exit", (code) => {
    if (code === 0) losses.end();
    if (code === 1) losses.lost();
  });
  return losses;
}

/** What a node does about snapshots that cannot be served, or no longer: it goes by what lies on disk. */
export function unfitSnapshots({ file, losses, counters, log }: UnfitSnapshotsOptions): Told {
  return {
    former: async (served) => (await file.loadBefore(served)).snapshot,
    unfit: losses.refusalOf,
    onTakenUp: (snapshot) => losses.takeUp(snapshot),
    onRefused({ publication }, refusal) {
      counters.snapshots_refused++;
      log.debug({ publication, refusal }, "refused");
    },
    onWithdrawn({ publication }, servedAgain, refusal) {
      counters.snapshots_withdrawn++;
      log.error({ publication, servedAgain: servedAgain.publication, refusal }, "publication given up");
      void file.giveUp(publication);
    },
    onRollbackFailed(message) {
      log.error({ message }, "the workers do not take back what they served before");
    },
  };
}
