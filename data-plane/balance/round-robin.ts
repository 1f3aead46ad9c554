import type { EndpointConfig } from "../config/worker-config.ts";
import { LevelPicker } from "./level-picker.ts";
import type { PickQuestion } from "./picker.ts";
import type { RotationLevel } from "./rotation-level.ts";

/**
 * Weighted round-robin over the available endpoints. All workers of a node build the same wheel and share one
 * cursor, so weights are exact over the whole node, whichever endpoints are out.
 */
export class RoundRobin extends LevelPicker {
  protected override chooseIn(
    level: RotationLevel,
    turn: number,
    _question: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    return this.chooseByTurn(level, turn, tried);
  }
}
