import { describe, expect, it } from "vitest";
import { LoadShedder } from "./load-shedder.ts";

const tickMs = 50;
const open = (lagMs = 100) => new LoadShedder({ lagMs, tickMs });

/** Whether a request that starts now is refused: as the proxy asks. */
function refuses(shedder: LoadShedder, nowMs: number): boolean {
  return nowMs >= shedder.asksFromMs && shedder.refuses(nowMs);
}

/** A loop that comes round `lagMs` late for so long. @returns when it is over */
function turnsFor(shedder: LoadShedder, { fromMs, forMs, lagMs }: { fromMs: number; forMs: number; lagMs: number }) {
  let nowMs = fromMs;
  do {
    nowMs += tickMs + lagMs;
    shedder.turned(nowMs);
  } while (nowMs < fromMs + forMs);
  return nowMs;
}

function shedding(): { shedder: LoadShedder; nowMs: number } {
  const shedder = open();
  shedder.turned(0);
  const nowMs = turnsFor(shedder, { fromMs: 0, forMs: 2_000, lagMs: 300 });
  expect(shedder.isShedding).toBe(true);
  return { shedder, nowMs };
}

describe("LoadShedder", () => {
  it("is not even asked while the loop keeps up", () => {
    const shedder = open();
    shedder.turned(0);
    const nowMs = turnsFor(shedder, { fromMs: 0, forMs: 10_000, lagMs: 80 });
    expect(shedder.asksFromMs).toBeGreaterThan(nowMs + tickMs + 80);
  });

  it.each([350, 2_000, 20_000])("takes a single pause of %d ms for what it is", (pauseMs) => {
    const shedder = open();
    let nowMs = 0;
    for (let i = 0; i < 5; i++) {
      shedder.turned(nowMs);
      // Once between two requests, once between two turns.
      nowMs += i % 2 === 0 ? pauseMs : 0;
      for (let request = 0; request < 100; request++) expect(refuses(shedder, nowMs++)).toBe(false);
      nowMs += i % 2 === 0 ? 0 : pauseMs;
      nowMs = turnsFor(shedder, { fromMs: nowMs, forMs: 1_500, lagMs: 5 });
    }
    expect(shedder.isShedding).toBe(false);
  });

  it("sheds once the lag was too much for a second, and was seen three times", () => {
    const shedder = open();
    shedder.turned(0);
    const turns = [400, 800, 1_200, 1_500].map((nowMs) => {
      shedder.turned(nowMs);
      return shedder.isShedding;
    });
    expect(turns).toEqual([false, false, false, true]);
    const slow = open();
    slow.turned(0);
    for (const nowMs of [5_000, 10_000]) slow.turned(nowMs);
    expect(slow.isShedding).toBe(false);
    slow.turned(15_000);
    expect(slow.isShedding).toBe(true);
  });

  it("sheds within a turn that does not end", () => {
    const shedder = open();
    shedder.turned(0);
    const refusedAtMs: number[] = [];
    for (let nowMs = 0; nowMs < 2_000; nowMs += 10) if (refuses(shedder, nowMs)) refusedAtMs.push(nowMs);
    // Too late from 150 ms on, and for a second then; once it sheds, this turn has had its time.
    expect(refusedAtMs).toEqual(Array.from({ length: refusedAtMs.length }, (_, i) => refusedAtMs[0]! + i * 10));
    expect(refusedAtMs[0]).toBeGreaterThanOrEqual(1_150);
    expect(refusedAtMs[0]).toBeLessThanOrEqual(1_250);
  });

  it("takes requests for half the threshold of each turn, from the first one on", () => {
    const { shedder, nowMs } = shedding();
    const refused = (fromMs: number) => [0, 40, 99, 100, 500].map((afterMs) => refuses(shedder, fromMs + afterMs));
    // The turn is on time for 50 ms, and may be late for 50 more.
    expect(refused(nowMs)).toEqual([false, false, false, true, true]);
    shedder.turned(nowMs + 140);
    // So much else was done before that the turn was late already: 50 ms are for requests still.
    const laterMs = nowMs + 140 + 400;
    expect([0, 49, 50, 500].map((afterMs) => refuses(shedder, laterMs + afterMs))).toEqual([false, false, true, true]);
  });

  it("is over when no turn was too long for three seconds", () => {
    const { shedder, nowMs } = shedding();
    const before = turnsFor(shedder, { fromMs: nowMs, forMs: 2_500, lagMs: 10 });
    expect(shedder.isShedding).toBe(true);
    shedder.turned(before + 300);
    const after = turnsFor(shedder, { fromMs: before + 300, forMs: 2_500, lagMs: 10 });
    expect(shedder.isShedding).toBe(true);
    turnsFor(shedder, { fromMs: after, forMs: 1_000, lagMs: 10 });
    expect([shedder.isShedding, refuses(shedder, after + 1_100)]).toEqual([false, false]);
  });

  it("refuses the share that memory asks for, whatever the lag", () => {
    const shedder = open();
    shedder.turned(0);
    const refused = (count: number) => Array.from({ length: count }, () => refuses(shedder, 1)).filter(Boolean).length;
    shedder.memoryRatio = 0.3;
    // Sums of fractions are a little off in binary.
    expect(Math.abs(refused(1_000) - 300)).toBeLessThanOrEqual(1);
    shedder.memoryRatio = 1;
    shedder.turned(50);
    expect(refused(10)).toBe(10);
    shedder.memoryRatio = 0;
    expect(refused(10)).toBe(0);
    expect(shedder.isShedding).toBe(false);
  });
});
