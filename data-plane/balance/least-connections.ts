import type { EndpointConfig } from "../config/worker-config.ts";
import { LevelPicker } from "./level-picker.ts";
import { nthDraw } from "./mix32.ts";
import type { PickQuestion } from "./picker.ts";
import type { RotationLevel } from "./rotation-level.ts";

/** Up to so many endpoints all are compared. */
const exactMax = 32;
/** Of more, so many. */
const sampleSize = 5;

/**
 * The endpoint with the fewest requests under way for its weight, this one counted: the least (in flight + 1) / weight.
 * The one whose turn it is in weighted round-robin is taken at once when it has nothing to do, so that an idle pool is
 * spread by weight and not all sent to its heaviest; and of equals it goes first. Of more than 32 endpoints a sample of 5
 * is compared, drawn by weight: least of all it is not, but never one that is much worse than most.
 *
 * Cost: reads of what all workers have under way at up to 32 endpoints, about 0.5 us.
 */
export class LeastConnections extends LevelPicker {
  protected override chooseIn(
    level: RotationLevel,
    turn: number,
    _question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    const { endpoints, places } = level;
    const first = places[turn % places.length]!;
    const whoseTurn = endpoints[first]!;
    const canTakeFirst = this.canTake(whoseTurn, tried);
    if (canTakeFirst && this.state.inFlight(whoseTurn.row) === 0) return whoseTurn;
    const isExact = endpoints.length <= exactMax;
    const count = isExact ? endpoints.length : sampleSize;
    let best = -1;
    let bestCost = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      const at = isExact ? (first + i) % endpoints.length : i === 0 ? first : drawn(level, turn, i);
      const endpoint = endpoints[at]!;
      if (!this.canTake(endpoint, tried)) continue;
      const cost = (this.state.inFlight(endpoint.row) + 1) / level.weights[at]!;
      if (cost >= bestCost) continue;
      best = at;
      bestCost = cost;
    }
    if (best >= 0) return endpoints[best]!;
    // Of a sample there may be another.
    return isExact ? null : this.chooseByTurn(level, turn, tried);
  }
}

/** An index by weight, as if by lot. */
function drawn({ wheel }: RotationLevel, turn: number, draw: number): number {
  return wheel[nthDraw(turn, draw) % wheel.length]!;
}
