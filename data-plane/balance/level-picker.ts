import type { EndpointConfig, PoolConfig } from "../config/worker-config.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { nthDraw } from "./mix32.ts";
import type { Picker, PickQuestion } from "./picker.ts";
import { type LevelOrder, type Rotation, rotationOf, type WholeLevels } from "./rotation.ts";
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
  /** What the rotations of these endpoints have in common. */
  readonly #wholes: WholeLevels = new Map();
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
    const rotation = this.rotation();
    return this.#pickAt(rotation, question, this.takeTurn(rotation, question));
  }

  peek(question: PickQuestion): EndpointConfig | null {
    const rotation = this.rotation();
    return this.#pickAt(rotation, question, this.seeTurn(rotation, question));
  }

  /**
   * The place that the pool's cursor moves past: places of endpoints that are out are left out, so that those of all
   * others are taken one after the other, whoever goes or returns meanwhile. A further attempt takes nobody's turn: of two
   * endpoints, every request would else begin at the one that fails.
   */
  protected takeTurn(rotation: Rotation, question: PickQuestion): number {
    if (question.tried.length > 0) return this.seeTurn(rotation, question);
    const skips = skipsOf(rotation);
    if (skips === null) return this.state.advanceCursor(this.#poolRow);
    return this.state.advanceCursorPast(this.#poolRow, skips);
  }

  /** The place that would be taken next. */
  protected seeTurn(rotation: Rotation, _question: PickQuestion): number {
    const stands = this.state.cursor(this.#poolRow);
    const skips = skipsOf(rotation);
    return skips === null ? stands : stands + skips[stands % skips.length]!;
  }

  #pickAt(rotation: Rotation, question: PickQuestion, turn: number): EndpointConfig | null {
    this.isFull = false;
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
    this.#rotation = rotationOf(this.pool, this.endpoints, this.state, this.#wholes);
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
    const { endpoints, places } = level;
    const first = places[turn % places.length]!;
    if (this.canTake(endpoints[first]!, tried)) return endpoints[first]!;
    // Its neighbour would else get the turns of one at its limit beside its own.
    if (tried.length === 0) {
      const { wheel } = level;
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

/** Of the pool's cursor; null = it takes every place. */
function skipsOf({ levels, order }: Rotation): Uint16Array | null {
  return order === null && levels.length > 0 ? levels[0]!.skips : null;
}

/** The turns that a level has had: over all of them its own wheel is followed exactly, whatever its share. */
function turnOfLevel({ wheel, ranks, turns }: LevelOrder, level: number, turn: number): number {
  return Math.floor(turn / wheel.length) * turns[level]! + ranks[turn % wheel.length]!;
}
