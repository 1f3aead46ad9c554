import { QuarantineKeeper } from "../../control-plane/sync/quarantine-keeper.ts";
import { STREAM_HUB_DEFAULTS, StreamHub } from "../../control-plane/sync/stream-hub.ts";
import type { SimulatedStore } from "./simulated-store.ts";
import type { SimulatedAddressee } from "./simulated-stream.ts";
import type { Random, SimulatedProcess, SimulatedTime } from "./simulated-time.ts";

/** What a control plane shares with the rest of its fleet. */
export interface SimulatedHubParts {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly recentMaxCount: number;
  readonly helloMaxPerSecond: number;
  readonly log: object;
}

/** A control plane: its real hub and keeper of quarantines over a replica of the store. */
export class SimulatedHub implements SimulatedAddressee {
  readonly process: SimulatedProcess;
  readonly #hub: StreamHub;
  /** Something came from a node since this was last reset. */
  hasHeard = false;

  constructor(fleet: SimulatedHubParts, store: SimulatedStore) {
    const { time, random } = fleet;
    this.process = time.startProcess();
    const replica = store.replica(this.process.clock, () => (random() < 0.1 ? 1_000 : 5) * random());
    const { recentMaxCount, helloMaxPerSecond } = fleet;
    const gate = { connect: () => null, hello: () => null, closed() {}, labelsOf: replica.labelsOf };
    const parts = { store: replica.store, log: fleet.log as never, clock: this.process.clock };
    const quarantine = new QuarantineKeeper(parts);
    this.#hub = new StreamHub(
      { ...parts, gate, random, quarantine },
      { ...STREAM_HUB_DEFAULTS, recentMaxCount, helloMaxPerSecond },
    );
    this.#hub.start();
  }

  get nodes() {
    return this.#hub.nodes();
  }

  connect(...[call]: Parameters<StreamHub["connect"]>): void {
    call.on("data", () => {
      this.hasHeard = true;
    });
    this.#hub.connect(call);
  }

  /** Whatever it says to its streams at the end is heard by nobody: those are cut before. */
  kill(): void {
    this.process.kill();
    void this.#hub.close();
  }
}
