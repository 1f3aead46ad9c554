import type { EndpointConfig } from "../config/worker-config.ts";
import { LevelPicker } from "./level-picker.ts";
import { nthDraw } from "./mix32.ts";
import { faded } from "./peak-ewma.ts";
import type { PickQuestion } from "./picker.ts";
import type { RotationLevel } from "./rotation-level.ts";

/**
 * How many times as long a request has to take at the endpoint that was drawn twice, for another to be asked. Without
 * it a slow endpoint of four would get a 16th of all requests; without a margin weights would not hold between equals.
 */
const clearlyWorse = 2;

/**
 * Of two endpoints the one that is to answer sooner: that with the smaller product of its latency (peak-ewma.ts) and the
 * requests under way there for its weight. Both are drawn by weight, the first by its turn in weighted round-robin, the
 * second as if by lot: where all answer alike and have nothing to do, each gets its weight, and never does one that was
 * fastest a moment ago get everything. Of an endpoint that nothing is known of, the other's latency is assumed.
 *
 * Source: Mitzenmacher, The Power of Two Choices in Randomized Load Balancing; Finagle's peak EWMA.
 */
export class Latency extends LevelPicker {
  protected override chooseIn(
    level: RotationLevel,
    turn: number,
    question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    const { endpoints, places, wheel } = level;
    const first = places[turn % places.length]!;
    let second = wheel[nthDraw(turn, 1) % wheel.length]!;
    let margin = 1;
    if (first === second && endpoints.length > 1) {
      // Any other one: its weight plays no part, since the first has to be clearly worse.
      second = (first + 1 + (nthDraw(turn, 2) % (endpoints.length - 1))) % endpoints.length;
      margin = clearlyWorse;
    }
    const canTakeFirst = this.canTake(endpoints[first]!, tried);
    const canTakeSecond = first !== second && this.canTake(endpoints[second]!, tried);
    if (canTakeFirst && canTakeSecond) {
      const isSecondBetter = this.#isBetter(level, second, first, margin, question.startedAtMs);
      return endpoints[isSecondBetter ? second : first]!;
    }
    if (canTakeFirst) return endpoints[first]!;
    return canTakeSecond ? endpoints[second]! : this.chooseByTurn(level, turn, tried);
  }

  /** Whether `other` times `margin` is to take less time than `one`. */
  #isBetter(level: RotationLevel, other: number, one: number, margin: number, nowMs: number): boolean {
    const latencyOfOne = this.#latency(level.endpoints[one]!.row, nowMs);
    const latencyOfOther = this.#latency(level.endpoints[other]!.row, nowMs);
    const cost =
      (latencyOfOne || latencyOfOther || 1) * loadOf(level, one, this.state.inFlight(level.endpoints[one]!.row));
    const costOfOther =
      (latencyOfOther || latencyOfOne || 1) * loadOf(level, other, this.state.inFlight(level.endpoints[other]!.row));
    return costOfOther * margin < cost;
  }

  #latency(row: number, nowMs: number): number {
    const latencyUs = this.state.latencyUs(row);
    return latencyUs === 0 ? 0 : faded(latencyUs, this.state.latencyAgeMs(row, nowMs));
  }
}

/**
 * 1 for one that has nothing to do, whatever its weight: it was drawn by weight already. Beyond that, the requests under
 * way there by what it has of the level's weight on the average.
 */
function loadOf(level: RotationLevel, at: number, inFlight: number): number {
  return 1 + (inFlight * level.weightSum) / (level.weights[at]! * level.endpoints.length);
}
