import type { EndpointConfig, EndpointSet, PoolConfig } from "../config/worker-config.ts";
import { compareIdentities } from "./endpoint-identity.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { slotOf } from "./hash-ring.ts";
import { LevelPicker } from "./level-picker.ts";
import { mix32, nthDraw } from "./mix32.ts";
import type { PickQuestion } from "./picker.ts";
import type { Rotation } from "./rotation.ts";
import type { RotationLevel } from "./rotation-level.ts";

/** Slots that are looked at as if drawn by lot; those that follow, one by one, are as good but share their luck. */
const drawsMax = 64;
/** Slots that are looked at before the endpoints themselves are: one that has next to no weight may have no slot. */
const walkMax = 4_096;
const rampMax = 1_000;
/** What tells the numbers that are drawn for one purpose from those for another. */
const levelSalt = 0x165667b1;
const rampSalt = 0x2c1b3c6d;

/**
 * The endpoint that the slot of the request's hash leads to (hash-ring.ts). One that cannot take the request, since it is
 * out, at its limit, tried, or above its bound, is passed over: the hash leads on to other slots, the same ones each time,
 * so that its keys alone move, and evenly. A key stays in its level as the level's share grows, and moves once, at a share
 * of its own, to an endpoint that takes up its weight slowly.
 *
 * Bounded load: an endpoint takes no request that would make what is under way there more than `boundedLoad` times its
 * share of the pool's. Source: Mirrokni, Thorup, Zadimoghaddam, Consistent Hashing with Bounded Loads.
 */
export class ConsistentHashing extends LevelPicker {
  /** As the set has them, which slots name them by. */
  readonly #members: readonly EndpointConfig[];
  readonly #rings: readonly { readonly priority: number; readonly isLocal: boolean; readonly slots: Uint16Array }[];
  readonly #boundedLoad: number;
  readonly #indexByRow = new Map<number, number>();
  /** By index of the endpoint: which level it is in, plus 1; 0 = none. */
  readonly #levelOf: Uint8Array;
  /** By index: the thousandths of its keys that it takes. */
  readonly #rampOf: Uint16Array;
  /** By index: its part of all requests, 0 to 1. */
  readonly #shareOf: Float64Array;
  #levels: readonly RotationLevel[] = [];
  /** For each of them. */
  #slots: readonly (Uint16Array | null)[] = [];

  constructor(pool: PoolConfig, set: EndpointSet, state: EndpointState) {
    // Whoever is found without a ring must not depend on the order of the message.
    super(pool, set.endpoints.toSorted(compareIdentities), state);
    this.#members = set.endpoints;
    this.#rings = (set.rings ?? []).map((ring) => ({ ...ring, slots: new Uint16Array(ring.slots) }));
    this.#boundedLoad = pool.balancing.hash?.boundedLoad ?? 0;
    for (const [i, { row }] of set.endpoints.entries()) this.#indexByRow.set(row, i);
    this.#levelOf = new Uint8Array(set.endpoints.length);
    this.#rampOf = new Uint16Array(set.endpoints.length);
    this.#shareOf = new Float64Array(set.endpoints.length);
  }

  /** No turn is taken: what has no part in the hash is decided by it all the same. */
  protected override takeTurn(_rotation: Rotation, { hash }: PickQuestion): number {
    return hash;
  }

  protected override seeTurn(_rotation: Rotation, { hash }: PickQuestion): number {
    return hash;
  }

  /** One part of the hashes for each level, in order: those of a level that is given less go to the one after it. */
  protected override levelAt({ levels }: Rotation, _turn: number, { hash }: PickQuestion): number {
    const place = mix32(hash ^ levelSalt) / 2 ** 32;
    let end = 0;
    for (let i = 0; i < levels.length - 1; i++) {
      end += levels[i]!.share;
      if (place < end) return i;
    }
    return levels.length - 1;
  }

  protected override rotated({ levels, reserve }: Rotation): void {
    this.#levelOf.fill(0);
    this.#levels = [...levels, ...reserve];
    this.#slots = this.#levels.map(
      ({ priority, isLocal }) =>
        this.#rings.find((ring) => ring.priority === priority && ring.isLocal === isLocal)?.slots ?? null,
    );
    for (const [number, level] of this.#levels.entries()) {
      const most = level.weights.reduce((max, weight, i) => Math.max(max, weight / level.endpoints[i]!.weight), 0);
      for (const [i, { row }] of level.endpoints.entries()) {
        const index = this.#indexByRow.get(row)!;
        // What it has of its weight, beside those that have most of theirs: where all take up their shares, none moves.
        const ramp = level.weights[i]! / this.#members[index]!.weight;
        this.#levelOf[index] = number + 1;
        this.#rampOf[index] = Math.max(1, Math.round((rampMax * ramp) / most));
        this.#shareOf[index] = (level.share * level.weights[i]!) / level.weightSum;
      }
    }
  }

  protected override chooseIn(
    level: RotationLevel,
    _turn: number,
    { hash }: PickQuestion,
    tried: readonly EndpointConfig[],
  ): EndpointConfig | null {
    const number = this.#levels.indexOf(level);
    const slots = this.#slots[number]!;
    const isBounded = this.#boundedLoad > 0 && level.share > 0;
    const found = slots === null ? null : this.#search(slots, number + 1, hash, tried, isBounded);
    if (found !== null) return found;
    const start = nthDraw(hash, 1) % level.endpoints.length;
    return this.firstFrom(level.endpoints, start, tried);
  }

  /** @param level number of the level, as in `#levelOf` */
  #search(
    slots: Uint16Array,
    level: number,
    hash: number,
    tried: readonly EndpointConfig[],
    isBounded: boolean,
  ): EndpointConfig | null {
    let slot = 0;
    for (let n = 0; n < drawsMax + walkMax; n++) {
      let drawn = 0;
      if (n < drawsMax) {
        drawn = nthDraw(hash, n);
        slot = slotOf(drawn, slots.length);
      } else slot = slot + 1 === slots.length ? 0 : slot + 1;
      const index = slots[slot]!;
      if (this.#levelOf[index] !== level) continue;
      const ramp = this.#rampOf[index]!;
      if (ramp < rampMax && n < drawsMax && mix32(drawn ^ rampSalt) % rampMax >= ramp) continue;
      const endpoint = this.#members[index]!;
      if (!this.canTake(endpoint, tried) || (isBounded && this.#isAboveBound(index))) continue;
      return endpoint;
    }
    return null;
  }

  /** Whether one more request would be more than its bound. */
  #isAboveBound(index: number): boolean {
    const underWay = this.state.poolInFlight(this.pool.poolRow) + 1;
    const bound = Math.ceil(this.#boundedLoad * underWay * this.#shareOf[index]!);
    return this.state.inFlight(this.#members[index]!.row) + 1 > bound;
  }
}
