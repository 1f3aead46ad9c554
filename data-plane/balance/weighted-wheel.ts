/** Longest wheel. Larger sums of weights are scaled down to it: 10,000 turns are exact to 0.01 %. */
export const wheelTurnsMax = 10_000;

/**
 * The order in which weighted round-robin visits its endpoints: endpoint i appears weights[i] times (divided
 * by the weights' common divisor), as evenly spread as possible. The caller advances a shared cursor over it,
 * so that weights are exact per node. Every endpoint has at least one turn.
 *
 * Cost: O(turns x distinct weights), at most 3 ms, once per change of the available endpoints.
 * @param weights one per available endpoint, each 1..65535, at most 65,536 of them
 */
export function weightedWheel(weights: readonly number[]): Uint16Array {
  const shares = sharesOf(weights);
  const turns = sum(shares);
  const groups = groupByShare(shares);
  const wheel = new Uint16Array(turns);
  for (let turn = 0; turn < turns; turn++) {
    let best = groups[0]!;
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      // A turn earns every member its share and costs the visited one a whole round: the member with the most
      // credit is the one that waited longest for its weight. Within a group that is a plain rotation, so its
      // next member stands for all of them, and a thousand endpoints of equal weight cost as much as one.
      group.nextCredit = (turn + 1) * group.share - group.rounds * turns;
      if (group.nextCredit > best.nextCredit || (group.nextCredit === best.nextCredit && isBefore(group, best))) {
        best = group;
      }
    }
    wheel[turn] = best.members[best.next]!;
    best.next++;
    if (best.next === best.members.length) {
      best.next = 0;
      best.rounds++;
    }
  }
  return wheel;
}

/** The endpoints of one share. */
interface ShareGroup {
  readonly share: number;
  /** Endpoint numbers, ascending. */
  readonly members: number[];
  /** Index of the member whose turn comes next. */
  next: number;
  /** Turns that the next member has had. */
  rounds: number;
  nextCredit: number;
}

function isBefore(a: ShareGroup, b: ShareGroup): boolean {
  return a.members[a.next]! < b.members[b.next]!;
}

function groupByShare(shares: readonly number[]): ShareGroup[] {
  const groups = new Map<number, ShareGroup>();
  for (const [endpoint, share] of shares.entries()) {
    const group = groups.get(share);
    if (group) group.members.push(endpoint);
    else groups.set(share, { share, members: [endpoint], next: 0, rounds: 0, nextCredit: 0 });
  }
  return [...groups.values()];
}

/** Whether the wheel has them as they are, not scaled down. */
export function fitsWheel(weights: readonly number[]): boolean {
  return sum(reduced(weights)) <= wheelTurnsMax;
}

function reduced(weights: readonly number[]): number[] {
  const divisor = weights.reduce(greatestCommonDivisor, 0);
  return weights.map((weight) => weight / divisor);
}

/** Turns of each endpoint in one round of the wheel. */
function sharesOf(weights: readonly number[]): number[] {
  const shares = reduced(weights);
  return sum(shares) <= wheelTurnsMax ? shares : scaleDown(shares);
}

/** Shares in (nearly) the same proportions, each at least 1, whose sum is wheelTurnsMax. */
function scaleDown(shares: readonly number[]): number[] {
  // With one turn each the wheel is full already: weights no longer fit in.
  if (shares.length >= wheelTurnsMax) return shares.map(() => 1);
  const factor = scaleFactor(shares);
  const scaled = shares.map((share) => Math.max(1, Math.floor(share * factor)));
  // Rounding down left less than one turn per endpoint to give out: to those that lost most.
  const lost = (i: number) => shares[i]! * factor - scaled[i]!;
  const byLoss = shares.map((_, i) => i).sort((a, b) => lost(b) - lost(a) || a - b);
  for (let missing = wheelTurnsMax - sum(scaled), i = 0; missing > 0; missing--, i++) scaled[byLoss[i]!]!++;
  return scaled;
}

/** What to multiply shares by so that they fill the wheel, once every light one has taken its whole turn. */
function scaleFactor(shares: readonly number[]): number {
  let factor = wheelTurnsMax / sum(shares);
  let lightCount = 0;
  for (;;) {
    const heavy = shares.filter((share) => share * factor >= 1);
    if (shares.length - heavy.length === lightCount) return factor;
    lightCount = shares.length - heavy.length;
    factor = (wheelTurnsMax - lightCount) / sum(heavy);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
