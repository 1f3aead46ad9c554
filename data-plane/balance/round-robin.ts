import type { PanicConfig } from "../config/resilience-config.ts";
import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { endpointsInUse } from "./panic.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { isAmong } from "./tried-endpoints.ts";
import { weightedWheel } from "./weighted-wheel.ts";

/**
 * Weighted round-robin over the available endpoints. All workers of a node build the same wheel and share one
 * cursor, so weights are exact over the whole node, whichever endpoints are out.
 */
export function roundRobin(pool: PoolConfig, endpoints: readonly EndpointConfig[], state: EndpointState): Picker {
  return new RoundRobin(pool, endpoints, state);
}

/** A class, not a closure: `pick` is on the path of every request and its fields stay monomorphic. */
class RoundRobin implements Picker {
  readonly isFull = false;
  readonly #poolRow: number;
  readonly #panic: PanicConfig;
  readonly #endpoints: readonly EndpointConfig[];
  readonly #state: EndpointState;
  /** What the wheel turns over. */
  #turning: readonly EndpointConfig[] = [];
  #lastResort: readonly EndpointConfig[] = [];
  #wheel: Uint16Array = new Uint16Array(0);
  /** The pool's generation that the wheel was built at. */
  #builtAt = 0;
  #isBuilt = false;

  constructor({ poolRow, resilience }: PoolConfig, endpoints: readonly EndpointConfig[], state: EndpointState) {
    this.#poolRow = poolRow;
    this.#panic = resilience.panic;
    this.#endpoints = endpoints;
    this.#state = state;
  }

  pick({ tried }: PickQuestion): EndpointConfig | null {
    if (this.#endpoints.length === 0) return null;
    const generation = this.#state.generation(this.#poolRow);
    // Built at the first pick, not with the config: most pools of a large state see no traffic in a worker.
    if (generation !== this.#builtAt || !this.#isBuilt) this.#rebuild(generation);
    if (this.#turning.length === 0) return null;
    if (tried.length === 0) return this.#turning[this.#turnAt(this.#state.advanceCursor(this.#poolRow))]!;
    // A further attempt takes nobody's turn: of two endpoints, every request would else begin at the one that fails.
    const turn = this.#turnAt(this.#state.cursor(this.#poolRow));
    return firstUntried(this.#turning, turn, tried) ?? firstUntried(this.#lastResort, 0, tried) ?? this.#turning[turn]!;
  }

  #turnAt(cursor: number): number {
    return this.#wheel[cursor % this.#wheel.length]!;
  }

  /** `generation` was read before the flags: a change in between makes the next pick rebuild once more. */
  #rebuild(generation: number): void {
    const { turning, lastResort } = endpointsInUse(this.#endpoints, this.#state, this.#panic);
    this.#turning = turning;
    this.#lastResort = lastResort;
    this.#wheel = weightedWheel(this.#turning.map((endpoint) => endpoint.weight));
    this.#builtAt = generation;
    this.#isBuilt = true;
  }
}

/** The first endpoint at or after `start`, going round, that was not tried. Only retries come here. */
function firstUntried(
  endpoints: readonly EndpointConfig[],
  start: number,
  tried: readonly EndpointConfig[],
): EndpointConfig | null {
  for (let i = 0; i < endpoints.length; i++) {
    const endpoint = endpoints[(start + i) % endpoints.length]!;
    if (!isAmong(tried, endpoint)) return endpoint;
  }
  return null;
}
