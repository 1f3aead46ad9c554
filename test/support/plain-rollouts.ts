import type { Ledger } from "../../control-plane/rollout/publication-ledger.ts";
import { RolloutAdmin } from "../../control-plane/rollout/rollout-admin.ts";
import { RolloutDriver } from "../../control-plane/rollout/rollout-driver.ts";
import { Rollouts } from "../../control-plane/rollout/rollouts.ts";
import type { Store } from "../../control-plane/store/store.ts";
import type { Fleet } from "../../control-plane/sync/fleet.ts";
import type { Log } from "../../control-plane/telemetry/log.ts";
import { ManualClock } from "./manual-clock.ts";

/** The rollouts of a store in which nothing was decided yet; their clock stands still until it is turned. */
export function plainRollouts(store: Store, fleet: Fleet, log: Log) {
  const clock = new ManualClock();
  const { revision, publication } = store.image;
  const points = { baseline: null, candidate: null };
  const ledger: Ledger = { revision, publication, mode: "immediate", ...points, waiting: null, rollout: null };
  const rollouts = new Rollouts({ store, clock, log }, { ledger, ...points, isLost: false });
  const driver = new RolloutDriver({ rollouts, fleet, clock, log });
  return { rollouts, clock, admin: new RolloutAdmin(driver, fleet) };
}
