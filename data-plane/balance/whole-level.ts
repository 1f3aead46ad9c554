import type { EndpointConfig } from "../config/worker-config.ts";
import { fitsWheel, weightedWheel } from "./weighted-wheel.ts";

/**
 * The endpoints of a level that have weight, whoever of them is out, and the wheel of all. It stays the same while they go
 * and return: whose turn it is among those that stay depends on nobody else. Made once for a set of endpoints.
 */
export class WholeLevel {
  readonly members: readonly EndpointConfig[];
  #wheel: Uint16Array | null = null;

  constructor(members: readonly EndpointConfig[]) {
    this.members = members;
  }

  /** Whether a wheel of all says of any of them exactly what they get: only then is it that of some. */
  get isExact(): boolean {
    return this.#wheel !== null || fitsWheel(this.members.map(({ weight }) => weight));
  }

  /** Indices of members, in the order of their turns. */
  get wheel(): Uint16Array {
    this.#wheel ??= weightedWheel(this.members.map(({ weight }) => weight));
    return this.#wheel;
  }

  /** @param inUse those of the members that are, in the same order */
  turnsOf(inUse: readonly EndpointConfig[]): Turns {
    const { members, wheel } = this;
    if (inUse.length === members.length) return { places: wheel, skips: null };
    const indexOf = new Int32Array(members.length).fill(-1);
    for (let member = 0, i = 0; member < members.length && i < inUse.length; member++) {
      if (members[member]!.row === inUse[i]!.row) indexOf[member] = i++;
    }
    const places = new Uint16Array(wheel.length);
    const skips = new Uint16Array(wheel.length);
    // Backwards, and twice: what follows the last place is known only from the first ones.
    let next = 0;
    let distance = 0;
    for (let n = 2 * wheel.length - 1; n >= 0; n--) {
      const place = n % wheel.length;
      const index = indexOf[wheel[place]!]!;
      distance = index < 0 ? distance + 1 : 0;
      if (index >= 0) next = index;
      places[place] = next;
      skips[place] = distance;
    }
    return { places, skips };
  }
}

/** Whose turn it is at each place of a wheel. */
export interface Turns {
  /** Index of an endpoint in use: that of the place, or of the next place whose endpoint is. */
  readonly places: Uint16Array;
  /** How many places on that is; null = nobody is passed over. */
  readonly skips: Uint16Array | null;
}
