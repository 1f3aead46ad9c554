/** What an endpoint's weight is: a fraction, both parts whole; the denominator is at least 1. */
export interface WeightShare {
  readonly numerator: number;
  readonly denominator: number;
}

export const weightMax = 65_535;

/**
 * Whole weights from 1 to 65535 in the proportions of the shares; 0 stays 0. Exact wherever whole numbers of that size can be; else the
 * greatest is 65535 and the others are rounded to it.
 */
export function wholeWeights(shares: readonly WeightShare[]): number[] {
  const multiple = shares.reduce((lcm, { denominator }) => leastCommonMultiple(lcm, denominator), 1);
  const exact = shares.map(({ numerator, denominator }) => numerator * (multiple / denominator));
  if (fits(exact)) return exact;
  const divisor = exact.every(Number.isSafeInteger) ? exact.reduce(greatestCommonDivisor, 0) : 1;
  const reduced = exact.map((weight) => weight / divisor);
  if (fits(reduced)) return reduced;
  const ratios = shares.map(({ numerator, denominator }) => numerator / denominator);
  const greatest = ratios.reduce((most, ratio) => Math.max(most, ratio), 0);
  return ratios.map((ratio) => (ratio === 0 ? 0 : Math.max(Math.round((ratio / greatest) * weightMax), 1)));
}

/** The sum of two shares, in lowest terms. */
export function addShares(a: WeightShare, b: WeightShare): WeightShare {
  if (a.denominator === b.denominator) return { ...a, numerator: a.numerator + b.numerator };
  return lowestTerms(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

/** A share in lowest terms. */
export function lowestTerms(numerator: number, denominator: number): WeightShare {
  const divisor = greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

function fits(weights: readonly number[]): boolean {
  return weights.every((weight) => Number.isInteger(weight) && weight <= weightMax);
}

/** Infinity, which fits nothing, when it grows beyond what is exact. */
function leastCommonMultiple(a: number, b: number): number {
  if (a === Number.POSITIVE_INFINITY) return a;
  const multiple = (a / greatestCommonDivisor(a, b)) * b;
  return Number.isSafeInteger(multiple) ? multiple : Number.POSITIVE_INFINITY;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
