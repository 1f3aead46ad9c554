import { timestampMs } from "@bufbuild/protobuf/wkt";
import { RolloutPhase, type RolloutPolicy } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import type { Checked } from "../resource/checked.ts";
import type { Fleet } from "../sync/fleet.ts";
import type { RolloutDriver } from "./rollout-driver.ts";
import { isUnderWay, isWholeFleet } from "./rollout-steps.ts";
import type { Commanded, Rollouts } from "./rollouts.ts";

/** How it stands, for people. Numbers are 0 where there is nothing to number. */
export interface RolloutStatus {
  readonly number: number;
  readonly phase: RolloutPhase;
  /** "1 of 3"; empty where nothing is under way. */
  readonly stage: string;
  readonly reachedNodeIds: readonly string[];
  readonly reachesAll: boolean;
  /** Connected nodes that serve what is rolled out. */
  readonly servingCount: number;
  readonly nodeCount: number;
  readonly baselineRevision: number;
  readonly baselinePublication: number;
  readonly candidateRevision: number;
  readonly candidatePublication: number;
  readonly waitingFromRevision: number;
  readonly beganAtUnixMs: number | null;
  readonly stageBeganAtUnixMs: number | null;
  readonly endedAtUnixMs: number | null;
  readonly haltedBy: string;
  readonly reason: string;
  readonly blamedNodeIds: readonly string[];
  readonly waitsFor: string;
}

/** Rollouts as people see and command them. Errors: what writes rejects when the store does not take it. */
export class RolloutAdmin {
  readonly #driver: RolloutDriver;
  readonly #fleet: Pick<Fleet, "nodes">;

  constructor(driver: RolloutDriver, fleet: Pick<Fleet, "nodes">) {
    this.#driver = driver;
    this.#fleet = fleet;
  }

  get policy(): RolloutPolicy {
    return this.#rollouts.policy;
  }

  setPolicy(policy: RolloutPolicy): Promise<Checked<RolloutPolicy>> {
    return this.#rollouts.setPolicy(policy);
  }

  status(): RolloutStatus {
    const { rollout, baseline, candidate, waiting } = this.#rollouts.ledger;
    const isOn = rollout !== null && isUnderWay(rollout);
    const connected = this.#fleet.nodes().filter(({ isConnected }) => isConnected);
    const stageCount = (rollout?.policy?.stages.length ?? 0) + 1;
    const at = (time: Parameters<typeof timestampMs>[0] | undefined) => (time === undefined ? null : timestampMs(time));
    return {
      number: Number(rollout?.number ?? 0n),
      phase: rollout?.phase ?? RolloutPhase.UNSPECIFIED,
      stage: isOn ? `${rollout.stage + 1} of ${stageCount}` : "",
      reachedNodeIds: isOn ? rollout.reachedNodeIds : [],
      reachesAll: isOn && isWholeFleet(rollout),
      servingCount: isOn ? this.#driver.servingCount : 0,
      nodeCount: connected.length,
      baselineRevision: baseline?.revision ?? 0,
      baselinePublication: baseline?.publication ?? 0,
      candidateRevision: candidate?.revision ?? 0,
      candidatePublication: candidate?.publication ?? 0,
      waitingFromRevision: waiting?.firstRevision ?? 0,
      beganAtUnixMs: at(rollout?.beganAt),
      stageBeganAtUnixMs: isOn ? at(rollout.stageBeganAt) : null,
      endedAtUnixMs: at(rollout?.endedAt),
      haltedBy: rollout?.haltedBy ?? "",
      reason: this.#rollouts.isLost
        ? "what the nodes were given is not known any more: promote"
        : (rollout?.reason ?? ""),
      blamedNodeIds: rollout?.blamedNodeIds ?? [],
      waitsFor: this.#driver.waitsFor,
    };
  }

  pause(): Promise<Commanded> {
    return this.#rollouts.pause();
  }

  resume(): Promise<Commanded> {
    return this.#rollouts.resume(this.#driver.connectedIds());
  }

  promote(): Promise<Commanded> {
    return this.#rollouts.promote();
  }

  abort(reason: string): Promise<Commanded> {
    return this.#rollouts.abort(reason);
  }

  /** Calls the listener when it may stand otherwise; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    return this.#driver.onChange(listener);
  }

  get #rollouts(): Rollouts {
    return this.#driver.rollouts;
  }
}
