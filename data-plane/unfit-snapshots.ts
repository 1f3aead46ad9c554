import type { SnapshotApplierOptions } from "./snapshot/snapshot-applier.ts";
import type { SnapshotFile } from "./snapshot/snapshot-file.ts";
import type { NodeCounters } from "./telemetry/counters.ts";
import type { Log } from "./telemetry/log.ts";

export interface UnfitSnapshotsOptions {
  readonly file: Pick<SnapshotFile, "loadBefore" | "giveUp">;
  readonly counters: Pick<NodeCounters, "snapshots_refused" | "snapshots_withdrawn">;
  readonly log: Pick<Log, "debug" | "error">;
}

type Told = Pick<SnapshotApplierOptions, "former" | "onRefused" | "onWithdrawn" | "onRollbackFailed">;

/** What a node does about snapshots that cannot be served, or no longer: it goes by what lies on disk. */
export function unfitSnapshots({ file, counters, log }: UnfitSnapshotsOptions): Told {
  return {
    former: async (served) => (await file.loadBefore(served)).snapshot,
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
