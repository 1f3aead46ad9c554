import { describe, expect, it } from "vitest";
import { type ProbeNeed, ProbeSchedule } from "./probe-schedule.ts";

const defaults: ProbeNeed = {
  probeKey: "",
  poolKey: "p",
  concurrency: 1_000,
  intervalMs: 10_000,
  jitterRatio: 0,
  isUrgent: false,
};

/** A schedule whose probes take no time, unless the test says otherwise. */
class Course {
  readonly schedule: ProbeSchedule;
  readonly random: () => number;
  /** Each probe with the rows that it told about. */
  readonly probes: { atMs: number; probeKey: string; rows: readonly number[] }[] = [];
  nowMs = 0;

  constructor(probesMax = 1_000, random: () => number = () => 0) {
    this.schedule = new ProbeSchedule(probesMax, 0);
    this.random = random;
  }

  set(row: number, need: Partial<ProbeNeed>): void {
    this.schedule.set(row, { ...defaults, probeKey: `k${row}`, ...need }, this.nowMs, this.random());
  }

  /** @param endsAtOnce false: what begins stays under way */
  run(untilMs: number, endsAtOnce = true): void {
    for (;;) {
      const dueAtMs = this.schedule.nextDueAtMs();
      if (dueAtMs === null || dueAtMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueAtMs);
      for (const { probeKey, rows } of this.schedule.takeDue(this.nowMs)) {
        this.probes.push({ atMs: this.nowMs, probeKey, rows });
        if (endsAtOnce) this.schedule.finished(probeKey, this.nowMs, this.random());
      }
    }
    this.nowMs = untilMs;
  }

  timesOf(row: number): number[] {
    return this.probes.filter(({ rows }) => rows.includes(row)).map(({ atMs }) => atMs);
  }
}

/** Numbers in [0, 1), the same in every run. */
function pseudoRandom(): () => number {
  let state = 42;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function gapsOf(times: readonly number[]): number[] {
  return times.slice(1).map((atMs, i) => atMs - times[i]!);
}

describe("ProbeSchedule", () => {
  it("probes an endpoint once an interval, from within the first one on", () => {
    const course = new Course();
    course.set(1, { intervalMs: 250 });
    course.run(10_000);
    expect(course.timesOf(1)[0]).toBeLessThanOrEqual(250);
    expect(course.timesOf(1)).toHaveLength(40);
    for (const gap of gapsOf(course.timesOf(1))) expect(gap).toBeCloseTo(250, 6);
  });

  it.each([1_000, 900, 100])("spreads the probes of %d endpoints: no second has more than twice its share", (count) => {
    const course = new Course(1_000, pseudoRandom());
    for (let row = 0; row < count; row++) course.set(row, { jitterRatio: 0.1 });
    course.run(100_000);
    const perSecond = new Array<number>(100).fill(0);
    for (const { atMs } of course.probes) perSecond[Math.floor(atMs / 1_000)]!++;
    expect(Math.max(...perSecond)).toBeLessThanOrEqual((2 * count) / 10);
    // Each of them ten times, but that the first interval may be cut by the jitter of the last.
    for (let row = 0; row < count; row++) expect(course.timesOf(row).length).toBeGreaterThanOrEqual(9);
  });

  it("stays spread when every tenth endpoint goes out and comes back", () => {
    const course = new Course(1_000, pseudoRandom());
    for (let row = 0; row < 1_000; row++) course.set(row, { jitterRatio: 0.1 });
    for (let round = 0; round < 20; round++) {
      course.run(5_000 * (round + 1));
      for (let row = 0; row < 1_000; row += 10)
        course.set(row, { jitterRatio: 0.1, intervalMs: round % 2 === 0 ? 5_000 : 10_000 });
    }
    const perSecond = new Array<number>(101).fill(0);
    for (const { atMs } of course.probes) perSecond[Math.floor(atMs / 1_000)]!++;
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(2 * 110);
  });

  it("lets jitter make a probe late, and none after it", () => {
    const course = new Course(10, pseudoRandom());
    course.set(1, { intervalMs: 1_000, jitterRatio: 0.5 });
    course.run(200_000);
    const times = course.timesOf(1);
    for (const gap of gapsOf(times)) expect(Math.abs(gap - 1_000)).toBeLessThanOrEqual(500);
    expect(times.length).toBeGreaterThanOrEqual(199);
    expect(times.length).toBeLessThanOrEqual(201);
  });

  it("sends one probe for endpoints of several pools that need the same", () => {
    const course = new Course();
    course.set(1, { probeKey: "same", poolKey: "a" });
    course.set(2, { probeKey: "same", poolKey: "b" });
    course.run(30_000);
    expect(course.probes.map(({ rows }) => rows)).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(course.schedule.proberCount).toBe(1);
  });

  it("tells each of them at its own times where the intervals differ", () => {
    const course = new Course();
    course.set(1, { probeKey: "same", poolKey: "a", intervalMs: 1_000 });
    course.set(2, { probeKey: "same", poolKey: "b", intervalMs: 10_000 });
    course.run(40_000);
    expect(course.timesOf(1)).toHaveLength(40);
    expect(course.timesOf(2)).toHaveLength(4);
  });

  it("does not probe where the interval is 0, until it is another one", () => {
    const course = new Course();
    course.set(1, { intervalMs: 0 });
    course.run(60_000);
    expect(course.probes).toHaveLength(0);
    course.set(1, { intervalMs: 1_000 });
    course.run(63_000);
    expect(course.timesOf(1)).toHaveLength(3);
    course.set(1, { intervalMs: 0 });
    course.run(90_000);
    expect(course.timesOf(1)).toHaveLength(3);
  });

  it("probes within a second an endpoint that nobody is served by before", () => {
    const course = new Course();
    for (let row = 0; row < 50; row++) course.set(row, { isUrgent: true, intervalMs: 60_000 });
    course.run(1_000);
    expect(new Set(course.probes.flatMap(({ rows }) => rows)).size).toBe(50);
  });

  it("has no more probes under way than a pool may, and no more than the node may", () => {
    const course = new Course(5);
    for (let row = 0; row < 40; row++) course.set(row, { poolKey: row < 20 ? "a" : "b", concurrency: 3 });
    course.run(20_000, false);
    expect(course.schedule.runningCount).toBe(5);
    const running = course.probes.map(({ rows }) => rows[0]!);
    expect(running.filter((row) => row < 20).length).toBeLessThanOrEqual(3);
    // Whatever ends makes room for one that has waited.
    course.schedule.finished(course.probes[0]!.probeKey, course.nowMs, 0);
    expect(course.schedule.takeDue(course.nowMs)).toHaveLength(1);
    expect(course.schedule.runningCount).toBe(5);
  });

  it("gets to everybody where there is room for one at a time", () => {
    const course = new Course(1);
    for (let row = 0; row < 30; row++) course.set(row, { poolKey: `pool ${row % 3}`, concurrency: 1 });
    course.run(10_000);
    for (let i = 0; i < 40; i++) {
      for (const { probeKey, rows } of course.schedule.takeDue(course.nowMs)) {
        course.probes.push({ atMs: course.nowMs, probeKey, rows });
        course.schedule.finished(probeKey, course.nowMs, 0);
      }
    }
    expect(new Set(course.probes.flatMap(({ rows }) => rows)).size).toBe(30);
  });

  it("has one probe of an endpoint under way at a time, however long it takes", () => {
    const course = new Course();
    course.set(1, { intervalMs: 100 });
    course.run(10_000, false);
    expect(course.probes).toHaveLength(1);
    course.schedule.finished("k1", course.nowMs, 0);
    course.run(10_100, false);
    expect(course.probes).toHaveLength(2);
  });

  it("forgets what is removed, while it waits and while it runs", () => {
    const course = new Course(1);
    course.set(1, {});
    course.set(2, {});
    course.run(10_000, false);
    course.schedule.remove(1, 0);
    course.schedule.remove(2, 0);
    for (const { probeKey } of course.probes) course.schedule.finished(probeKey, course.nowMs, 0);
    expect(course.schedule).toMatchObject({ proberCount: 0, runningCount: 0 });
    course.run(60_000);
    expect(course.probes).toHaveLength(1);
  });

  it("keeps the place of an endpoint whose need comes again unchanged", () => {
    const course = new Course();
    course.set(1, {});
    course.run(5_000);
    const dueAtMs = course.schedule.nextDueAtMs();
    course.set(1, { concurrency: 2 });
    expect(course.schedule.nextDueAtMs()).toBe(dueAtMs);
  });
});
