import { describe, expect, it } from "vitest";
import { keepFinerDurations } from "./keep-finer-durations.ts";

describe("keepFinerDurations", () => {
  const printed = { name: "u", healthchecks: { active: { healthy: { interval: 1, interval_ms: 500 }, timeout: 1 } } };
  const keep = (healthy: object) => {
    const kept = keepFinerDurations({ healthchecks: { active: { healthy } } }, printed);
    return JSON.parse(JSON.stringify(kept)) as { json: unknown; kept: unknown };
  };
  const path = "healthchecks.active.healthy.interval";

  it.each([
    {
      name: "keeps ours when the printed seconds come back",
      body: { interval: 1 },
      want: { interval: 1, interval_ms: 500 },
      kept: [{ field: path, ms: 500 }],
    },
    { name: "leaves other seconds", body: { interval: 2 }, want: { interval: 2 }, kept: [] },
    {
      name: "leaves milliseconds that the client says",
      body: { interval: 1, interval_ms: 700 },
      want: { interval: 1, interval_ms: 700 },
      kept: [],
    },
    {
      name: "lets null take the milliseconds back",
      body: { interval: 1, interval_ms: null },
      want: { interval: 1, interval_ms: null },
      kept: [],
    },
    {
      name: "makes whole seconds of null alone",
      body: { interval_ms: null },
      want: { interval: 1, interval_ms: null },
      kept: [],
    },
    { name: "leaves a body that says nothing of it", body: { successes: 1 }, want: { successes: 1 }, kept: [] },
  ])("$name", ({ body, want, kept }) => {
    expect(keep(body)).toEqual({ json: { healthchecks: { active: { healthy: want } } }, kept });
  });

  it("leaves what is no record as it is", () => {
    expect(keepFinerDurations({ healthchecks: 5 }, printed).json["healthchecks"]).toBe(5);
    expect(keepFinerDurations({ healthchecks: null }, printed).json["healthchecks"]).toBeNull();
  });

  it("leaves a __proto__ key as a key", () => {
    const { json } = keepFinerDurations(JSON.parse('{"__proto__": {"a": 1}}'), printed);
    expect(Object.keys(json)).toEqual(["__proto__"]);
  });
});
