import type { EndpointConfig, HashRing } from "../config/worker-config.ts";
import { untilDone } from "../steps/until-done.ts";
import { compareIdentities, identityOf } from "./endpoint-identity.ts";
import { hash32 } from "./hash32.ts";
import { mix32, nthDraw } from "./mix32.ts";

/** Slots of a table for each slot that is configured: shares of endpoints are within 10 % of their weights with it. */
const slotFactor = 12;
const configuredMin = 1_000;
/** Slots of a part of a table: the race goes on part by part, each of which fits into a processor's cache. */
const partMax = 32_768;
/** Claims for each slot of a table. The 2 % of the slots that get none are filled in another way. */
const claimsPerSlot = 4;
/** Parts that the race is divided into: with the endpoint's index, a claim is a number of 31 bits. */
const moments = 32_768;
const unclaimed = 0x7fffffff;
/** Claims that are made in one step, or a few more: some 0.3 ms. */
const claimsPerStep = 32_768;
/** What tells the numbers that are drawn for one purpose from those for another. */
const phaseSalt = 0x5bd1e995;
const strideSalt = 0x27d4eb2f;
const fillSalt = 0x68bc21eb;

/** The slot that a number of 32 bits leads to. */
export function slotOf(hash: number, slotCount: number): number {
  return Math.floor((hash * slotCount) / 2 ** 32);
}

/**
 * Where hashes lead among an upstream's endpoints: one table for each tier and locality, of all their endpoints whether
 * they are in or out, but for those of weight 0. The same in any order of the endpoints, on every node.
 *
 * Endpoints race for slots: each claims slot after slot, drawn by a hash of what it is, at a pace in proportion to its
 * weight, and a slot belongs to whoever claimed it first. What others do changes nothing of an endpoint's claims, so one
 * that comes takes slots for itself and one that goes leaves its own, evenly, to the rest.
 *
 * Measured (hash-ring.test.ts): when one of n comes or goes, (1 + e) / n of the slots change hands, with e = 0.05 to 0.16.
 * An endpoint that is due k slots of a table gets k within 0.72 x sqrt(k), one standard deviation. So with a `slotCount` of
 * at least 1,000, and no more endpoints of equal weight than one for 100 of them, each is within 10 % of its share.
 *
 * Cost: 4 claims per slot of a table, which has 12 x `slotCount`, whatever the number of endpoints: 8 ms at 10,000, 40 ms
 * at 65,536; the first one of a process two to four times as long.
 * @param slotCount as configured, 10 to 65,536
 */
export function hashRings(endpoints: readonly EndpointConfig[], slotCount: number): HashRing[] {
  return untilDone(hashRingSteps(endpoints, slotCount));
}

/** The same in steps of 0.3 to 0.7 ms; of 1.4 ms for an endpoint that has a part to itself. */
export function* hashRingSteps(endpoints: readonly EndpointConfig[], slotCount: number): Generator<void, HashRing[]> {
  const groups = new Map<string, number[]>();
  const inOrder = endpoints.map((_, i) => i).filter((i) => endpoints[i]!.weight > 0);
  inOrder.sort((a, b) => compareIdentities(endpoints[a]!, endpoints[b]!));
  for (const i of inOrder) {
    const { priority, isLocal } = endpoints[i]!;
    const key = `${priority} ${isLocal}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [i]);
    else group.push(i);
  }
  const rings: HashRing[] = [];
  for (const members of groups.values()) {
    const { priority, isLocal } = endpoints[members[0]!]!;
    rings.push({ priority, isLocal, slots: yield* ringSteps(endpoints, members, slotCount) });
  }
  return rings;
}

/** @param members indices of the endpoints, in the order of their identities */
function* ringSteps(
  endpoints: readonly EndpointConfig[],
  members: readonly number[],
  slotCount: number,
): Generator<void, SharedArrayBuffer> {
  const wanted = Math.max(configuredMin, slotCount) * slotFactor;
  const partCount = Math.ceil(wanted / partMax);
  const claims = new Int32Array(Math.ceil(wanted / partCount));
  const buffer = new SharedArrayBuffer(partCount * claims.length * Uint16Array.BYTES_PER_ELEMENT);
  const slots = new Uint16Array(buffer);
  const racers = racersOf(members.map((i) => endpoints[i]!));
  yield;
  for (let part = 0; part < partCount; part++) {
    claims.fill(unclaimed);
    let claimCount = 0;
    for (const [at, { seed, share }] of racers.entries()) {
      const ownCount = claimsPerSlot * claims.length * share;
      claimSlots(claims, at, nthDraw(seed, part), ownCount);
      claimCount += ownCount;
      if (claimCount < claimsPerStep) continue;
      claimCount = 0;
      yield;
    }
    const first = part * claims.length;
    for (let slot = 0; slot < claims.length; slot++) {
      slots[first + slot] = members[winnerOf(claims, slot, part) & 0xffff]!;
    }
    yield;
  }
  return buffer;
}

interface Racer {
  readonly seed: number;
  /** Of the weight of all. */
  readonly share: number;
}

function racersOf(members: readonly EndpointConfig[]): Racer[] {
  const weightSum = members.reduce((sum, { weight }) => sum + weight, 0);
  let former = "";
  let alike = 0;
  return members.map((endpoint) => {
    const identity = identityOf(endpoint);
    // Of several that look the same each has claims of its own.
    alike = identity === former ? alike + 1 : 0;
    former = identity;
    return { seed: nthDraw(hash32(identity), alike), share: endpoint.weight / weightSum };
  });
}

/** @param claimCount within the race; seldom a whole number */
function claimSlots(claims: Int32Array, at: number, seed: number, claimCount: number): void {
  const pace = (moments - 1) / claimCount;
  // Nobody is always the first of a round.
  let moment = (mix32(seed ^ phaseSalt) / 2 ** 32) * pace;
  // A stride of its own: the claims of two endpoints would else be the same for a stretch.
  const stride = mix32(seed ^ strideSalt) | 1;
  const toSlot = claims.length / 2 ** 32;
  let drawn = seed;
  for (; moment < moments - 1; moment += pace) {
    drawn = (drawn + stride) | 0;
    const slot = (mix32(drawn) * toSlot) | 0;
    // Without a branch that no processor could foresee: a quarter less time.
    claims[slot] = Math.min(claims[slot]!, ((moment | 0) << 16) | at);
  }
}

/** The claim that a slot belongs to: where nobody claimed it, that of another slot, found as if by lot. */
function winnerOf(claims: Int32Array, slot: number, part: number): number {
  if (claims[slot] !== unclaimed) return claims[slot]!;
  const start = nthDraw(slot ^ fillSalt, part);
  for (let n = 1; ; n++) {
    const claim = claims[slotOf(nthDraw(start, n), claims.length)]!;
    if (claim !== unclaimed) return claim;
  }
}
