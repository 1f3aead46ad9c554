import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { nthDraw } from "./mix32.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { type LevelOrder, type Rotation, rotationOf } from "./rotation.ts";
import type { RotationLevel } from "./rotation-level.ts";
import { isAmong } from "./tried-endpoints.ts";

const noneTried: readonly EndpointConfig[] = [];
/** Turns that are looked at in the place of one whose endpoint is at its limit. */
const redrawsMax = 4;

/**
 * What all algorithms have in common: which level of endpoints is asked, in what order the others are when it has
 * nobody to give, who is passed over. An algorithm chooses within a level.
 *
 * A class, not a closure: `pick` is on the path of every request and its fields stay monomorphic.
 */
export abstract class LevelPicker implements Picker {
  isFull = false;
  protected readonly pool: PoolConfig;
  protected readonly endpoints: readonly EndpointConfig[];
  protected readonly state: EndpointState;
  readonly #poolRow: number;
  readonly #hasLimits: boolean;
  #rotation: Rotation | null = null;
  /** The pool's generation that the rotation was made at. */
  #builtAt = 0;

  constructor(pool: PoolConfig, endpoints: readonly EndpointConfig[], state: EndpointState) {
    this.pool = pool;
    this.endpoints = endpoints;
    this.state = state;
    this.#poolRow = pool.poolRow;
    this.#hasLimits = endpoints.some(({ maxInFlight }) => maxInFlight > 0);
  }

  /** @param level of `Rotation.levels` or `Rotation.reserve` @returns null when it has none that may be picked */
  protected abstract chooseIn(
    level: RotationLevel,
    turn: number,
    question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null;

  pick(question: PickQuestion): EndpointConfig | null {
    return this.pickAt(question, this.turnOf(question));
  }

  peek(question: PickQuestion): EndpointConfig | null {
    return this.pickAt(question, this.state.cursor(this.#poolRow));
  }

  /** A further attempt takes nobody's turn: of two endpoints, every request would else begin at the one that fails. */
  protected turnOf({ tried }: PickQuestion): number {
    return tried.length === 0 ? this.state.advanceCursor(this.#poolRow) : this.state.cursor(this.#poolRow);
  }

  protected pickAt(question: PickQuestion, turn: number): EndpointConfig | null {
    this.isFull = false;
    const rotation = this.rotation();
    if (rotation.levels.length === 0) return null;
    const { tried } = question;
    const untried = this.#chooseAmong(rotation, turn, question, tried);
    if (untried !== null) return untried;
    const again = tried.length === 0 ? null : this.#chooseAmong(rotation, turn, question, noneTried);
    this.isFull = again === null;
    return again;
  }

  /** As it is now. */
  protected rotation(): Rotation {
    const generation = this.state.generation(this.#poolRow);
    // Made at the first pick, not with the config: most pools of a large state see no traffic in a worker.
    if (this.#rotation !== null && generation === this.#builtAt) return this.#rotation;
    // The generation was read before what it stands for: a change in between has the next pick make it once more.
    this.#builtAt = generation;
    this.#rotation = rotationOf(this.pool, this.endpoints, this.state);
    this.rotated(this.#rotation);
    return this.#rotation;
  }

  /** For what an algorithm keeps beside the rotation. */
  protected rotated(_rotation: Rotation): void {}

  #chooseAmong(
    rotation: Rotation,
    turn: number,
    question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    const { levels, order } = rotation;
    const first = order === null ? 0 : this.levelAt(rotation, turn, question);
    const ownTurn = order === null ? turn : turnOfLevel(order, first, turn);
    const endpoint = this.chooseIn(levels[first]!, ownTurn, question, tried);
    if (endpoint !== null) return endpoint;
    for (let i = 0; i < levels.length; i++) {
      const other = i === first ? null : this.chooseIn(levels[i]!, turn, question, tried);
      if (other !== null) return other;
    }
    return this.#chooseSpare(rotation, turn, question, tried);
  }

  /** Which level is asked first, of several: that whose turn it is, unless an algorithm goes by something of the request. */
  protected levelAt({ order }: Rotation, turn: number, _question: PickQuestion): number {
    const { wheel } = order!;
    return wheel[turn % wheel.length]!;
  }

  /** Only retries come here, and requests that found everyone in use at the limit. */
  #chooseSpare(
    { reserve, lastResort }: Rotation,
    turn: number,
    question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    for (let i = 0; i < reserve.length; i++) {
      const endpoint = this.chooseIn(reserve[i]!, turn, question, tried);
      if (endpoint !== null) return endpoint;
    }
    return lastResort.length === 0 ? null : this.firstFrom(lastResort, turn, tried);
  }

  /** Whether it has not been tried, and is below its limit. */
  protected canTake(endpoint: EndpointConfig, tried: readonly EndpointConfig[]): boolean {
    return (tried.length === 0 || !isAmong(tried, endpoint)) && (!this.#hasLimits || this.hasRoom(endpoint));
  }

  protected hasRoom({ row, maxInFlight }: EndpointConfig): boolean {
    return maxInFlight === 0 || !this.state.isAtLimit(row, maxInFlight);
  }

  /** The one whose turn it is by weight; where it cannot take the request, another. */
  protected chooseByTurn(level: RotationLevel, turn: number, tried: readonly EndpointConfig[]): EndpointConfig | null {
    const { endpoints, wheel } = level;
    const first = wheel[turn % wheel.length]!;
    if (this.canTake(endpoints[first]!, tried)) return endpoints[first]!;
    // Its neighbour would else get the turns of one at its limit beside its own.
    if (tried.length === 0) {
      for (let i = 1; i <= redrawsMax; i++) {
        const other = endpoints[wheel[nthDraw(turn, i) % wheel.length]!]!;
        if (this.canTake(other, tried)) return other;
      }
    }
    return this.firstFrom(endpoints, first, tried);
  }

  /** The first endpoint at or after `start`, going round, that can take the request. */
  protected firstFrom(
    endpoints: readonly EndpointConfig[],
    start: number,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[(start + i) % endpoints.length]!;
      if (this.canTake(endpoint, tried)) return endpoint;
    }
    return null;
  }
}

/** The turns that a level has had: over all of them its own wheel is followed exactly, whatever its share. */
function turnOfLevel({ wheel, ranks, turns }: LevelOrder, level: number, turn: number): number {
  return Math.floor(turn / wheel.length) * turns[level]! + ranks[turn % wheel.length]!;
}
