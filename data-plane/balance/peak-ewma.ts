/**
 * After so long without a slower answer, what was observed before counts for a third (1/e). An endpoint 100 times as slow
 * as the others is asked again after 12 s, and one that is well again has its share back with that answer; with the 10 s
 * that Finagle takes, one hiccup of half a second cost an endpoint its requests for 47 s.
 */
const decayMs = 2_500;

/**
 * The smoothed latency after one more observation: one that is slower is believed at once, faster ones only as time goes
 * by. So an endpoint that gets slow is noticed by its first slow answer, and one good answer does not whitewash it.
 * Source: Finagle's peak EWMA.
 *
 * @param previousUs 0 when nothing was observed yet
 * @param ageMs since that was written
 * @returns microseconds, at least 1
 */
export function observed(previousUs: number, ageMs: number, sampleUs: number): number {
  const sample = Math.max(1, Math.round(sampleUs));
  if (sample >= previousUs || previousUs === 0) return sample;
  const kept = remaining(ageMs);
  return Math.max(1, Math.round(previousUs * kept + sample * (1 - kept)));
}

/** What counts of a latency that was observed `ageMs` ago: less and less, so that a slow endpoint is tried again. */
export function faded(latencyUs: number, ageMs: number): number {
  return latencyUs * remaining(ageMs);
}

/** The clocks of two threads may differ by a moment. */
function remaining(ageMs: number): number {
  return ageMs <= 0 ? 1 : Math.exp(-ageMs / decayMs);
}
