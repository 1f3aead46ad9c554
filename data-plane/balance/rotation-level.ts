import type { EndpointConfig } from "../config/worker-config.ts";
import { weightedWheel } from "./weighted-wheel.ts";

/** Endpoints of one tier that are alike in being local or not, in one state: with the weights that they have now. */
export class RotationLevel {
  readonly priority: number;
  readonly isLocal: boolean;
  /** Its part of all requests, 0 to 1; 0 = it is a reserve. */
  readonly share: number;
  /** Its endpoints have not been in for long enough yet. */
  readonly isHeldBack: boolean;
  readonly endpoints: readonly EndpointConfig[];
  /** One for each endpoint: in proportion to what it is to get, whole numbers above 0. */
  readonly weights: readonly number[];
  readonly weightSum: number;
  #wheel: Uint16Array | null = null;

  constructor(key: LevelKey, endpoints: readonly EndpointConfig[], weights: readonly number[], share: number) {
    this.priority = key.priority;
    this.isLocal = key.isLocal;
    this.isHeldBack = key.isHeldBack;
    this.share = share;
    this.endpoints = endpoints;
    this.weights = weights;
    this.weightSum = weights.reduce((sum, weight) => sum + weight, 0);
  }

  /** Indices of endpoints, in the order of their turns. Made when it is asked for: a reserve seldom is. */
  get wheel(): Uint16Array {
    this.#wheel ??= weightedWheel(this.weights);
    return this.#wheel;
  }
}

export interface LevelKey {
  readonly priority: number;
  readonly isLocal: boolean;
  readonly isHeldBack: boolean;
}
