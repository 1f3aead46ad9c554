import { describe, expect, it } from "vitest";
import { HeldClients } from "./held-clients.ts";

/** Clients that say in which order they were let go. */
function rig() {
  const letGo: number[] = [];
  const defects: unknown[] = [];
  const held = new HeldClients(500, (error) => defects.push(error));
  const hold = (number: number, nowMs: number, endHold = () => true) => {
    held.add(
      {
        endHold: () => {
          letGo.push(number);
          return endHold();
        },
      },
      nowMs,
    );
  };
  return { held, hold, letGo, defects };
}

describe("HeldClients", () => {
  it("lets clients go when their time is over, the first first", () => {
    const { held, hold, letGo } = rig();
    for (let i = 0; i < 3; i++) hold(i, i * 100);
    expect([held.letGo(499, 0), held.letGo(600, 0), held.count]).toEqual([0, 2, 1]);
    expect(letGo).toEqual([0, 1]);
  });

  it("lets as many go as there is room for, with those whose time is over", () => {
    const { held, hold, letGo } = rig();
    for (let i = 0; i < 6; i++) hold(i, i < 2 ? 0 : 400);
    expect(held.letGo(500, 3)).toBe(3);
    expect(letGo).toEqual([0, 1, 2]);
    expect(held.letGo(900, 1)).toBe(3);
    expect(held.count).toBe(0);
  });

  it("has room for others where a client is gone", () => {
    const { held, hold, letGo } = rig();
    hold(0, 0, () => false);
    for (let i = 1; i < 4; i++) hold(i, 0);
    expect(held.letGo(1, 2)).toBe(2);
    expect(letGo).toEqual([0, 1, 2]);
  });

  it("looks once at a client that is refused again within the call", () => {
    const { held, hold, letGo } = rig();
    const again = () => {
      hold(0, 500, again);
      return true;
    };
    hold(0, 0, again);
    expect(held.letGo(500, Number.POSITIVE_INFINITY)).toBe(1);
    expect([letGo.length, held.count]).toEqual([1, 1]);
  });

  it("goes on after a client that throws", () => {
    const { held, hold, defects } = rig();
    hold(0, 0, () => {
      throw new Error("broken");
    });
    hold(1, 0);
    expect([held.letGo(500, 0), held.count, defects.length]).toEqual([1, 0, 1]);
  });

  it("keeps no client that it has let go", () => {
    const { held, hold } = rig();
    for (let i = 0; i < 5_000; i++) {
      hold(i, i);
      expect(held.letGo(i, 0)).toBe(i < 500 ? 0 : 1);
    }
    expect(held.count).toBe(500);
  });
});
