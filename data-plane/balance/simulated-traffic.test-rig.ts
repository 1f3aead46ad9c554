import type { FakeEndpointState } from "./endpoint-state.test-fake.ts";
import { mix32 } from "./mix32.ts";
import { observed } from "./peak-ewma.ts";
import type { Picker } from "./picker.ts";

export interface SimulatedTraffic {
  readonly perSecond: number;
  readonly lengthMs: number;
  /** @param draw 0 to 1, another for each request */
  readonly latencyMs: (row: number, atMs: number, draw: number) => number;
}

/**
 * Requests at a fixed rate, on a clock of their own: picked, under way for as long as their endpoint takes, then observed.
 *
 * @returns for each request when it came and which row it went to
 */
export function simulateTraffic(
  picker: Picker,
  state: FakeEndpointState,
  { perSecond, lengthMs, latencyMs }: SimulatedTraffic,
): { readonly atMs: number; readonly row: number }[] {
  const underWay: { readonly endsAtMs: number; readonly row: number; readonly tookMs: number }[] = [];
  return Array.from({ length: (perSecond * lengthMs) / 1_000 }, (_, i) => {
    const atMs = (i * 1_000) / perSecond;
    underWay.sort((a, b) => a.endsAtMs - b.endsAtMs);
    while (underWay.length > 0 && underWay[0]!.endsAtMs <= atMs) {
      const { endsAtMs, row, tookMs } = underWay.shift()!;
      state.attemptEnds(0, row);
      const us = observed(state.latencyUs(row), state.latencyAgeMs(row, endsAtMs), tookMs * 1_000);
      state.setLatency(row, us, endsAtMs);
    }
    const { row } = picker.pick({ tried: [], hash: 0, stickyKey: "", startedAtMs: atMs })!;
    state.attemptBegins(0, row);
    const tookMs = latencyMs(row, atMs, mix32(i + 1) / 2 ** 32);
    underWay.push({ endsAtMs: atMs + tookMs, row, tookMs });
    return { atMs, row };
  });
}

/** Of each row's requests among those, 0 to 1. */
export function sharesOf(requests: readonly { readonly row: number }[], endpointCount: number): number[] {
  const counts = Array<number>(endpointCount).fill(0);
  for (const { row } of requests) counts[row]!++;
  return counts.map((count) => count / requests.length);
}
