import type { NodeLabels } from "../../control-plane/resource/node-selector.ts";
import { RolloutDriver } from "../../control-plane/rollout/rollout-driver.ts";
import { openRollouts, type Rollouts } from "../../control-plane/rollout/rollouts.ts";
import type { Clock } from "../../control-plane/sync/clock.ts";
import { QuarantineKeeper } from "../../control-plane/sync/quarantine-keeper.ts";
import { StreamHub } from "../../control-plane/sync/stream-hub.ts";
import { STREAM_HUB_DEFAULTS } from "../../control-plane/sync/stream-hub-settings.ts";
import type { Log } from "../../control-plane/telemetry/log.ts";
import type { SimulatedStore } from "./simulated-store.ts";
import type { SimulatedAddressee } from "./simulated-stream.ts";
import type { Random, SimulatedProcess, SimulatedTime } from "./simulated-time.ts";

/** What a control plane shares with the rest of its fleet. */
export interface SimulatedHubParts {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly recentMaxCount: number;
  readonly helloMaxPerSecond: number;
  /** Whether changes may go stage by stage. */
  readonly hasRollouts: boolean;
  readonly log: { error(facts: { err: Error }, message: string): void };
}

/** Of a publication. */
const STEP_MAX_MS = 60;

type ReplicaStore = ReturnType<SimulatedStore["replica"]>["store"];

/** A control plane: its real hub, its keeper of quarantines and, where it has them, its rollouts, over a replica of the store. */
export class SimulatedHub implements SimulatedAddressee {
  readonly process: SimulatedProcess;
  #hub: StreamHub | null = null;
  #driver: RolloutDriver | null = null;
  /** Something came from a node since this was last reset. */
  hasHeard = false;

  constructor(fleet: SimulatedHubParts, store: SimulatedStore) {
    const { time, random } = fleet;
    this.process = time.startProcess();
    const replica = store.replica(this.process.clock, () => (random() < 0.1 ? 1_000 : 5) * random());
    const parts = { store: replica.store, log: fleet.log as unknown as Log, clock: this.process.clock };
    if (!fleet.hasRollouts) this.#start(fleet, parts, replica.labelsOf, null);
    else
      openRollouts(parts).then(
        (rollouts) => this.#start(fleet, parts, replica.labelsOf, rollouts),
        (error: Error) => fleet.log.error({ err: error }, "rollouts could not be opened"),
      );
  }

  #start(
    { random, recentMaxCount, helloMaxPerSecond }: SimulatedHubParts,
    parts: { readonly store: ReplicaStore; readonly log: Log; readonly clock: Clock },
    labelsOf: (nodeId: string) => NodeLabels,
    rollouts: Rollouts | null,
  ): void {
    const gate = { connect: () => null, hello: () => null, refused() {}, closed() {}, labelsOf };
    const quarantine = new QuarantineKeeper(parts);
    const ofRollouts = rollouts === null ? {} : { rollouts };
    // Every step of a publication takes its time, in which anything else may happen.
    const isSlow = random() < 0.5;
    const { clock } = parts;
    const slowClock: Clock = {
      ...clock,
      // The next turn of the event loop.
      after: (delayMs, run) => clock.after(delayMs === 0 ? STEP_MAX_MS * random() : delayMs, run),
    };
    const hub = new StreamHub(
      { ...parts, gate, random, quarantine, ...ofRollouts, clock: isSlow ? slowClock : clock },
      { ...STREAM_HUB_DEFAULTS, recentMaxCount, helloMaxPerSecond, sliceMs: isSlow ? 0 : STREAM_HUB_DEFAULTS.sliceMs },
    );
    hub.start();
    this.#hub = hub;
    if (rollouts === null) return;
    this.#driver = new RolloutDriver({ rollouts, fleet: hub, clock: this.process.clock, log: parts.log });
  }

  get nodes() {
    return this.#hub?.nodes() ?? [];
  }

  get driver(): RolloutDriver | null {
    return this.#driver;
  }

  connect(...[call]: Parameters<StreamHub["connect"]>): void {
    call.on("data", () => {
      this.hasHeard = true;
    });
    this.#hub!.connect(call);
  }

  /** Whatever it says to its streams at the end is heard by nobody: those are cut before. */
  kill(): void {
    this.process.kill();
    this.#driver?.close();
    this.#driver?.rollouts.close();
    void this.#hub?.close();
  }
}
