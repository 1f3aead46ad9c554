import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { RefusalLog, type Refused } from "./refusal-log.ts";

function start() {
  const clock = new ManualClock();
  const lines: unknown[] = [];
  const log = new RefusalLog(clock, { warn: (fields: unknown) => void lines.push(fields) });
  const record = (given: Partial<Refused> = {}) =>
    log.record({ action: "connect", peer: "10.0.0.1:1", nodeId: "n", tokenId: "", cause: "no", ...given });
  return { clock, lines, log, record };
}

describe("RefusalLog", () => {
  it("counts the same refusal, whatever the port, and logs it again after a minute", () => {
    const { clock, lines, log, record } = start();
    record();
    clock.advance(59_999);
    record({ peer: "10.0.0.1:2" });
    expect(lines).toHaveLength(1);
    clock.advance(1);
    record();
    expect(lines).toHaveLength(2);
    const [entry, ...more] = log.entries();
    expect(more).toEqual([]);
    expect(entry).toMatchObject({ address: "10.0.0.1", count: 3 });
    expect(entry!.lastAtUnixMs - entry!.firstAtUnixMs).toBe(60_000);
  });

  it("keeps the last thousand, the newest first, and cuts what strangers say", () => {
    const { log, record } = start();
    for (let i = 0; i < 1_100; i++) record({ peer: `::1:${i}`, nodeId: `n${i}`.padEnd(500, "x") });
    const entries = log.entries();
    expect(entries).toHaveLength(1_000);
    expect(entries[0]).toMatchObject({ address: "::1", nodeId: "n1099".padEnd(128, "x") });
    expect(entries.at(-1)!.nodeId).toMatch(/^n100x/);
    record({ nodeId: `n${"😀".repeat(100)}`, tokenId: `t${"😀".repeat(100)}` });
    expect(log.entries()[0]).toMatchObject({
      nodeId: `n${"😀".repeat(63)}\ufffd`,
      tokenId: `t${"😀".repeat(63)}\ufffd`,
    });
  });

  it("limits joins alone, by address", () => {
    const { clock, log, record } = start();
    for (let i = 0; i < 100; i++) record();
    expect(log.isLimited("10.0.0.1:9")).toBe(false);
    for (let i = 0; i < 60; i++) record({ action: "join" });
    expect([log.isLimited("10.0.0.1:9"), log.isLimited("10.0.0.2:9")]).toEqual([true, false]);
    clock.advance(60_000);
    expect(log.isLimited("10.0.0.1:9")).toBe(false);
  });
});
