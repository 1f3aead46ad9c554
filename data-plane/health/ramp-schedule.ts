import type { BalancingConfig } from "../config/balancing-config.ts";

/** All of its weight, in thousandths. */
export const wholeRamp = 1_000;
/** So many steps it takes at most; and none is shorter than this. */
const stepsMax = 50;
const stepMinMs = 100;

/** How an endpoint that was out, or is new, takes up its share. */
export interface RampPolicy {
  /** How long it has to be back before it gets anything; 0 = it need not wait. */
  readonly holdMs: number;
  /** Time until it has all of its share; 0 = at once. */
  readonly windowMs: number;
  /** What it begins with, in thousandths of its weight. */
  readonly minRamp: number;
  readonly aggression: number;
}

export interface RampStep {
  /** Thousandths of its weight. */
  readonly ramp: number;
  /** Until there is another; null when it has all. */
  readonly nextInMs: number | null;
}

/** @param hasLowerTier whether there is a tier that takes the endpoint's requests meanwhile */
export function rampPolicy({ failover, slowStart }: BalancingConfig, hasLowerTier: boolean): RampPolicy {
  const minRamp = Math.max(Math.round((slowStart?.minRatio ?? 1) * wholeRamp), 1);
  return {
    holdMs: hasLowerTier ? failover.failBackDelayMs : 0,
    windowMs: slowStart?.windowMs ?? 0,
    minRamp,
    aggression: slowStart?.aggression ?? 1,
  };
}

/** Whether it changes anything. */
export function isRamping({ holdMs, windowMs }: RampPolicy): boolean {
  return holdMs > 0 || windowMs > 0;
}

/** What an endpoint has while it is out, so that it begins with that in the moment in which it is back. */
export function rampWhileOut(policy: RampPolicy): number {
  if (policy.holdMs > 0) return 0;
  return policy.windowMs > 0 ? policy.minRamp : wholeRamp;
}

/**
 * What it has after it has been in for so long: nothing, then (time / window) ^ (1 / aggression) of its weight, but at
 * least what it begins with.
 *
 * Source: Envoy's slow start.
 */
export function rampAt(policy: RampPolicy, inForMs: number): RampStep {
  const { holdMs, windowMs, minRamp, aggression } = policy;
  if (inForMs < holdMs) return { ramp: 0, nextInMs: holdMs - inForMs };
  const grownForMs = inForMs - holdMs;
  if (grownForMs >= windowMs) return { ramp: wholeRamp, nextInMs: null };
  const stepMs = Math.max(stepMinMs, windowMs / stepsMax);
  const ratio = (grownForMs / windowMs) ** (1 / aggression);
  const ramp = Math.max(minRamp, Math.min(Math.round(ratio * wholeRamp), wholeRamp));
  return { ramp, nextInMs: Math.min(stepMs, windowMs - grownForMs) };
}
