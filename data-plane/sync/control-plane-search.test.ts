import { describe, expect, it } from "vitest";
import { SimulatedTime, seededRandom } from "../../test/simulation/simulated-time.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { Clock } from "./clock.ts";
import { ControlPlaneSearch, type ControlPlaneSearchOptions } from "./control-plane-search.ts";

/** A node without a stream, and a control plane that is there or not. */
function startSearch(options: Partial<ControlPlaneSearchOptions> & { readonly clock: Clock }) {
  const { clock } = options;
  const found: { readonly address: string; readonly atMs: number }[] = [];
  let absentCount = 0;
  const search = new ControlPlaneSearch({
    controlPlanes: ["a"],
    random: () => 0.5,
    onFound: (address) => found.push({ address, atMs: clock.monotonicMs() }),
    onAbsent: () => absentCount++,
    ...options,
  });
  return { search, found, absentCount: () => absentCount };
}

/** As a network does that drops what is sent: a connection comes about when a SYN passes, and the second goes after 1 s. */
function droppingNetwork(clock: ManualClock, isCut: () => boolean): NonNullable<ControlPlaneSearchOptions["reach"]> {
  return (_address, done) => {
    const stops: (() => void)[] = [];
    const end = (problem: string | null) => {
      for (const stop of stops) stop();
      done(problem);
    };
    for (const synAfterMs of [0, 1_000])
      stops.push(clock.after(synAfterMs, () => (isCut() ? undefined : stops.push(clock.after(20, () => end(null))))));
    stops.push(clock.after(2_000, () => end("no connection within 2000 ms")));
    return () => {
      for (const stop of stops) stop();
    };
  };
}

describe("row 6: ControlPlaneSearch", () => {
  it.each([5_000, 60_000, 300_000, 3_600_000])("finds a control plane within 2 s of a cut of %i ms", (cutMs) => {
    for (let seed = 0; seed < 50; seed++) {
      const clock = new ManualClock();
      let isCut = true;
      const random = seededRandom(seed);
      const { search, found } = startSearch({ clock, random, reach: droppingNetwork(clock, () => isCut) });
      search.start();
      clock.advance(cutMs + 2_000 * random());
      isCut = false;
      const healedAtMs = clock.monotonicMs();
      clock.advance(10_000);
      expect(found).toHaveLength(1);
      expect(found[0]!.atMs - healedAtMs).toBeLessThan(1_900);
    }
  });

  it("asks no more than once a second where it is refused, and spreads a thousand nodes that come back", async () => {
    const time = new SimulatedTime();
    const { clock } = time.startProcess();
    let isThere = false;
    let askedCount = 0;
    const reach: ControlPlaneSearchOptions["reach"] = (_address, done) => {
      askedCount++;
      return clock.after(0, () => done(isThere ? null : "connection refused"));
    };
    const random = seededRandom(1);
    const nodes = Array.from({ length: 1_000 }, () => startSearch({ clock, random, reach }));
    for (const { search } of nodes) search.start();
    await time.runUntil(60_000, () => {});
    expect(askedCount / 1_000).toBeGreaterThan(60);
    expect(askedCount / 1_000).toBeLessThan(1.25 * 60 + 1);
    isThere = true;
    const backAtMs = clock.monotonicMs();
    await time.runUntil(backAtMs + 2_000, () => {});
    const tenths = new Array<number>(20).fill(0);
    for (const { found } of nodes) tenths[Math.floor((found[0]!.atMs - backAtMs) / 100)]!++;
    // Of a thousand in 1.5 s no tenth of a second gets more than it would if all came in half a second.
    expect(Math.max(...tenths)).toBeLessThan(200);
  });

  it("leaves one alone that has answered, for as long as that wants", () => {
    const clock = new ManualClock();
    let askedCount = 0;
    const reach: ControlPlaneSearchOptions["reach"] = (_address, done) => {
      askedCount++;
      done(null);
      return () => {};
    };
    const { search, found } = startSearch({ clock, reach });
    search.start();
    search.ended({ address: "a", openMs: 5, retryAfterMs: 30_000, isUnanswered: false });
    clock.advance(30_099);
    expect({ askedCount, found: found.length }).toEqual({ askedCount: 1, found: 1 });
    clock.advance(1);
    expect({ askedCount, found: found.length }).toEqual({ askedCount: 2, found: 2 });
  });

  it("stops for good", () => {
    const clock = new ManualClock();
    const { search, found } = startSearch({ clock, reach: droppingNetwork(clock, () => false) });
    search.start();
    search.stop();
    clock.advance(60_000);
    expect(found).toEqual([]);
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("stays stopped where that was done by whoever hears that nobody is there, or comes before a stream's end", () => {
    const clock = new ManualClock();
    let askedCount = 0;
    const reach: ControlPlaneSearchOptions["reach"] = (_address, done) => {
      askedCount++;
      return clock.after(1, () => done("connection refused"));
    };
    const { search } = startSearch({ clock, reach, onAbsent: () => search.stop() });
    search.start();
    clock.advance(60_000);
    search.ended({ address: "a", openMs: 10_000, retryAfterMs: 0, isUnanswered: false });
    clock.advance(60_000);
    expect({ askedCount, nextDelayMs: clock.nextDelayMs() }).toEqual({ askedCount: 1, nextDelayMs: null });
  });
});
