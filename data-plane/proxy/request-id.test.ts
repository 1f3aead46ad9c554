import { describe, expect, it } from "vitest";
import { RequestIds } from "./request-id.ts";

describe("RequestIds", () => {
  it("gives 32 hexadecimal digits, never the same twice, also past a change of prefix", () => {
    const ids = new RequestIds();
    const seen = new Set<string>();
    for (let i = 0; i < 150_000; i++) seen.add(ids.next());
    expect(seen.size).toBe(150_000);
    for (const id of seen) if (!/^[0-9a-f]{32}$/.test(id)) throw new Error(id);
  });

  it("differs between workers", () => {
    expect(new RequestIds().next().slice(0, 24)).not.toBe(new RequestIds().next().slice(0, 24));
  });
});
