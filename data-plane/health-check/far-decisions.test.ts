import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { compileHealthOverride } from "../snapshot/compile-health-override.ts";
import { override, rig } from "./health-keeper.test-rig.ts";

const int64Max = 2n ** 63n - 1n;

/** What a person decided, as a control plane tells it. */
function told(seconds: bigint, nanos = 0) {
  const times = { expiresAt: { seconds, nanos }, decidedAt: { seconds: -int64Max - 1n, nanos: 0 } };
  const compiled = compileHealthOverride(create(HealthOverrideSchema, { id: "far", target: { id: "t-a" }, ...times }));
  if (!compiled.ok) throw new Error(compiled.problem.message);
  return compiled.value;
}

describe("HealthOverrides", () => {
  it.each([
    { name: "the last of all seconds", seconds: int64Max, nanos: 2 ** 31 - 1 },
    { name: "the first second after all dates", seconds: 8_640_000_000_001n, nanos: 0 },
    { name: "the year 10000", seconds: 253_402_300_800n, nanos: 0 },
  ])(
    "goes by a decision until $name once a newer one is over, which it finds by its timer",
    async ({ seconds, nanos }) => {
      const { timers, use, transitions, table } = rig();
      const newer = override({ id: "newer", isHealthy: true, expiresAtMs: 1_030_000 });
      const [row] = use({ a: ["10.0.0.1"] }, { overrides: [told(seconds, nanos), newer] });
      expect(table.isOut(row!)).toBe(false);
      await timers.pass(30_000);
      expect(table.isOut(row!)).toBe(true);
      expect(transitions).toContain("10.0.0.1:80 out manual: a person set it unhealthy until 9999-12-31T23:59:59.999Z");
    },
  );

  it("takes a decision until before all time for one that is over", () => {
    const { use, table } = rig();
    const [row] = use({ a: ["10.0.0.1"] }, { overrides: [told(-int64Max - 1n, -(2 ** 31))] });
    expect(table.isOut(row!)).toBe(false);
  });
});
