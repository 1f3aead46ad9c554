/** What shares are counted in: their sum, where everything that is configured is available. */
export const wholeShare = 10_000;

/** Of the endpoints of one tier, or of its local or its other ones. */
export interface LevelWeights {
  /** What is configured. */
  readonly total: number;
  /** What of it can be used. */
  readonly usable: number;
}

/**
 * How much of the requests each tier takes, in parts of `wholeShare`. A tier of which at least `thresholdPercent` can be
 * used takes all that those before it leave; one with less, in proportion. When all of them together cannot take
 * everything, they share it in those proportions: the sum is then below `wholeShare`.
 *
 * @param tiers in the order in which they take requests
 * @param thresholdPercent 0 to 100; 0 = a tier takes all as long as anything of it can be used
 */
export function tierShares(tiers: readonly LevelWeights[], thresholdPercent: number): number[] {
  let left = wholeShare;
  return tiers.map((tier) => {
    const share = Math.min(left, shareOf(tier, thresholdPercent));
    left -= share;
    return share;
  });
}

/**
 * How a tier's share is divided between its local endpoints and the others: these take what is over, or all that there
 * is where no local one can be used.
 *
 * @returns of the local ones, 0 to `share`
 */
export function localShare(share: number, local: LevelWeights, others: LevelWeights, thresholdPercent: number): number {
  if (others.usable === 0) return local.usable === 0 ? 0 : share;
  const part = Math.round((share * shareOf(local, thresholdPercent)) / wholeShare);
  // Neither gets nothing for being small; but of a tier that is not asked, nobody gets anything.
  return local.usable === 0 ? 0 : Math.min(share, Math.max(1, part));
}

function shareOf({ total, usable }: LevelWeights, thresholdPercent: number): number {
  if (usable === 0) return 0;
  const needed = total * thresholdPercent;
  if (usable * 100 >= needed) return wholeShare;
  return Math.max(1, Math.round((usable * 100 * wholeShare) / needed));
}
