import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { NameLookups } from "./name-lookups.ts";

function open() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const waiting = new Map<string, (problem: string | null) => void>();
  const lookups = new NameLookups({
    clock,
    lookUp(name) {
      asked.push(name);
      return new Promise((resolve, reject) => {
        waiting.set(name, (code) => (code === null ? resolve({}) : reject(Object.assign(new Error(code), { code }))));
      });
    },
  });
  return { clock, asked, lookups, answer: (name: string, problem: string | null) => waiting.get(name)!(problem) };
}

describe("NameLookups", () => {
  it.each([null, "ENOTFOUND", "EAI_AGAIN"])("says what the lookup found: %s", async (problem) => {
    const { clock, lookups, answer } = open();
    const found = lookups.problemOf("a.test");
    answer("a.test", problem);
    expect(await found).toBe(problem);
    expect(clock.nextDelayMs()).toBeNull();
  });

  it("says nothing when that takes more than half a second", async () => {
    const { clock, lookups } = open();
    const found = lookups.problemOf("a.test");
    clock.advance(499);
    expect(await Promise.race([found, Promise.resolve("waits")])).toBe("waits");
    clock.advance(1);
    expect(await found).toBeNull();
  });

  it("looks a name up once at a time, and no more than two names", async () => {
    const { asked, lookups, answer } = open();
    const found = ["a.test", "b.test", "a.test", "c.test"].map((name) => lookups.problemOf(name));
    expect(asked).toEqual(["a.test", "b.test"]);
    expect(await found[3]).toBeNull();
    answer("a.test", "ENOTFOUND");
    expect([await found[0], await found[2]]).toEqual(["ENOTFOUND", "ENOTFOUND"]);
    const next = lookups.problemOf("c.test");
    answer("c.test", null);
    expect([await next, asked]).toEqual([null, ["a.test", "b.test", "c.test"]]);
  });
});
