import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { ProcessLosses } from "./process-losses.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";

const state = (byte: number) => ({ stateHash: new Uint8Array(32).fill(byte) });

/** Processes that count in one file, one after the other. */
function rig() {
  const folder = mkdtempSync(join(tmpdir(), "penstock-losses-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "process-losses.json");
  const told: string[] = [];
  const reports: string[] = [];
  function start() {
    const timers = new FakeTimers();
    const losses = new ProcessLosses({
      ...{ folder, timers },
      onReport: (report) => reports.push(report),
      onUnwritable: (problem) => told.push(problem),
    });
    return {
      losses,
      timers,
      reasons: (...bytes: number[]) => bytes.map((byte) => losses.refusalOf(state(byte))?.reason),
    };
  }
  /** Each takes them up, one after the other, and ends so. */
  function run(count: number, taken: readonly number[], end: (losses: ProcessLosses) => void): void {
    for (let i = 0; i < count; i++) {
      const { losses } = start();
      for (const byte of taken) losses.takeUp(state(byte));
      end(losses);
    }
  }
  const lose = (count: number, ...taken: readonly number[]) => run(count, taken, (losses) => losses.lost());
  return { folder, file, told, reports, start, run, lose };
}

it("refuses what three processes in a row were lost with", () => {
  const { start, lose } = rig();
  lose(2, 1);
  expect(start().reasons(1)).toEqual([undefined]);
  lose(1, 1);
  expect(start().reasons(1, 2)).toEqual(["process_lost", undefined]);
});

it("counts a loss for what was taken up last, whatever a process begins with", () => {
  const { start, lose } = rig();
  lose(3, 1, 2);
  const { losses, reasons } = start();
  expect(reasons(1, 2)).toEqual([undefined, "process_lost"]);
  // Now it is refused where it is offered, and what is served instead is no reason to try it again.
  losses.takeUp(state(1));
  expect(start().reasons(1, 2)).toEqual([undefined, "process_lost"]);
});

it("counts what V8 reports, puts the report aside, and counts it once", () => {
  const { folder, reports, start, run } = rig();
  const report = (trigger: string) => JSON.stringify({ header: { trigger } });
  run(2, [1], () => writeFileSync(join(folder, "fatal-error.json"), report("OOMError")));
  expect(start().reasons(1)).toEqual([undefined]);
  // Somebody has asked for one, and then killed the process.
  run(1, [1], () => writeFileSync(join(folder, "fatal-error.json"), report("Signal")));
  expect(start().reasons(1)).toEqual([undefined]);
  run(1, [1], () => writeFileSync(join(folder, "fatal-error.json"), '{"header":{"trigger":"Fat'));
  expect(start().reasons(1)).toEqual(["process_lost"]);
  expect(reports).toEqual(Array.from({ length: 3 }, () => join(folder, "fatal-error.former.json")));
  expect(readdirSync(folder).sort()).toEqual(["fatal-error.former.json", "process-losses.json"]);
});

it("counts nothing where somebody kills processes", () => {
  const { start, run, lose } = rig();
  run(10, [1], () => {});
  expect(start().reasons(1)).toEqual([undefined]);
  // Nor does that make up for losses.
  lose(2, 1);
  run(2, [1], () => {});
  lose(1, 1);
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("begins anew after a process that ended as it was told to", () => {
  const { start, lose } = rig();
  lose(3, 1);
  const { losses } = start();
  losses.takeUp(state(1));
  losses.end();
  // What is still under way when it ends counts no more.
  losses.takeUp(state(2));
  losses.lost();
  expect(start().reasons(1, 2)).toEqual([undefined, undefined]);
  lose(2, 1);
  expect(start().reasons(1)).toEqual([undefined]);
});

it("forgets losses once a process has lived for a minute with the same", async () => {
  const { start, lose } = rig();
  lose(2, 1);
  const { losses, timers } = start();
  losses.takeUp(state(1));
  await timers.pass(59_000);
  losses.takeUp(state(2));
  await timers.pass(59_000);
  losses.takeUp(state(1));
  await timers.pass(60_000);
  // What comes later is not its fault.
  losses.lost();
  lose(2, 1);
  expect(start().reasons(1)).toEqual([undefined]);
});

it("counts losses in a row only", async () => {
  const { start, lose } = rig();
  lose(2, 1);
  const { losses, timers } = start();
  for (let i = 0; i < 3; i++) {
    losses.takeUp(state(2));
    await timers.pass(20_000);
    losses.takeUp(state(1));
    await timers.pass(20_000);
  }
  // This one has lived for two minutes, with none of the two for one.
  losses.lost();
  lose(1, 1);
  expect(start().reasons(1)).toEqual([undefined]);
  lose(1, 1);
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("refuses on what it refuses while processes live long with something else", async () => {
  const { start, lose } = rig();
  lose(3, 1);
  const { losses, timers } = start();
  losses.takeUp(state(2));
  await timers.pass(600_000);
  expect(losses.refusalOf(state(1))?.reason).toBe("process_lost");
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("counts from the beginning what is taken up nevertheless", () => {
  const { start, lose } = rig();
  lose(3, 1);
  const { losses, reasons } = start();
  losses.takeUp(state(1));
  expect(reasons(1)).toEqual([undefined]);
  losses.takeUp(state(2));
  expect(reasons(1)).toEqual([undefined]);
  losses.takeUp(state(1));
  losses.lost();
  lose(1, 1);
  expect(start().reasons(1)).toEqual([undefined]);
  lose(1, 1);
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("ends where it cannot write as where it can", () => {
  const { folder, told, start } = rig();
  const { losses } = start();
  losses.takeUp(state(1));
  rmSync(join(folder, "process-losses.json"));
  // What cannot be removed as a file, whoever tries.
  mkdirSync(join(folder, "process-losses.json"));
  losses.end();
  losses.end();
  expect(told).toHaveLength(1);
});

it("does not forget them before", async () => {
  const { start, lose } = rig();
  lose(2, 1);
  const { losses, timers } = start();
  losses.takeUp(state(1));
  await timers.pass(59_999);
  losses.lost();
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("counts nothing where nothing was served", () => {
  const { start, lose } = rig();
  lose(2, 1);
  const { losses } = start();
  losses.takeUp(state(1));
  losses.takeUp(null);
  losses.lost();
  expect(start().reasons(1)).toEqual([undefined]);
});

it.each([
  { name: "is empty", text: "" },
  { name: "is cut short", text: '{"takenUp":"01' },
  { name: "is something else", text: '["a"]' },
  { name: "has no counts in it", text: '{"takenUp":7,"isLost":true,"lossCounts":{"01":"many"}}' },
])("goes on with a file that $name", ({ text }) => {
  const { file, start, lose } = rig();
  writeFileSync(file, text);
  expect(start().reasons(1)).toEqual([undefined]);
  lose(3, 1);
  expect(start().reasons(1)).toEqual(["process_lost"]);
});

it("keeps few states, and those that were lost last", () => {
  const { file, start, lose } = rig();
  lose(2, 1);
  for (let byte = 2; byte < 20; byte++) lose(1, byte);
  lose(2, 19);
  expect(start().reasons(1, 19)).toEqual([undefined, "process_lost"]);
  expect(readFileSync(file).length).toBeLessThan(1_000);
  if (process.platform !== "win32") expect(statSync(file).mode & 0o777).toBe(0o600);
});

it("tells once that it cannot write", () => {
  const { folder, told, start } = rig();
  rmSync(folder, { recursive: true });
  const { losses } = start();
  for (const byte of [1, 2]) losses.takeUp(state(byte));
  expect(told).toEqual([expect.stringContaining("ENOENT")]);
});
