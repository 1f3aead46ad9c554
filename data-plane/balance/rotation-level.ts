import type { EndpointConfig } from "../config/worker-config.ts";
import { weightedWheel } from "./weighted-wheel.ts";
import type { Turns, WholeLevel } from "./whole-level.ts";

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
  readonly #whole: WholeLevel | null;
  #wheel: Uint16Array | null = null;
  #turns: Turns | null = null;

  /** @param whole whose turns it takes, where the pool's cursor is its alone and the weights are those of the whole */
  constructor(key: LevelKey, { endpoints, weights, share, whole }: LevelContent) {
    this.priority = key.priority;
    this.isLocal = key.isLocal;
    this.isHeldBack = key.isHeldBack;
    this.share = share;
    this.endpoints = endpoints;
    this.weights = weights;
    this.weightSum = weights.reduce((sum, weight) => sum + weight, 0);
    this.#whole = whole;
  }

  /** Indices of endpoints, as often as their weights say. Made when it is asked for: a reserve seldom is. */
  get wheel(): Uint16Array {
    this.#wheel ??= this.skips === null ? this.places : weightedWheel(this.weights);
    return this.#wheel;
  }

  /** Index of the endpoint whose turn it is, for each place of the pool's cursor. */
  get places(): Uint16Array {
    return (this.#turns ?? this.#takeTurns()).places;
  }

  /** How far on the place is that a cursor at this one takes; null = it takes each. */
  get skips(): Uint16Array | null {
    return (this.#turns ?? this.#takeTurns()).skips;
  }

  #takeTurns(): Turns {
    this.#turns = this.#whole?.turnsOf(this.endpoints) ?? { places: weightedWheel(this.weights), skips: null };
    return this.#turns;
  }
}

export interface LevelContent {
  readonly endpoints: readonly EndpointConfig[];
  readonly weights: readonly number[];
  readonly share: number;
  readonly whole: WholeLevel | null;
}

export interface LevelKey {
  readonly priority: number;
  readonly isLocal: boolean;
  readonly isHeldBack: boolean;
}
