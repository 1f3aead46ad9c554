import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { PanicMode } from "../../proto/gen/penstock/config/v1/resilience_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import { compilePanic } from "./compile-panic.ts";

describe("compilePanic", () => {
  it.each([
    { said: "nothing", init: {}, want: [0, "fail_open_unchecked"] },
    { said: "Kong's default", init: { healthchecks: { threshold: 0 } }, want: [0, "fail_open_unchecked"] },
    { said: "Kong's threshold", init: { healthchecks: { threshold: 60 } }, want: [60, "fail_closed"] },
    { said: "our threshold", init: { resilience: { panic: { threshold: 30 } } }, want: [30, "fail_open"] },
    {
      said: "our threshold beside Kong's",
      init: { healthchecks: { threshold: 60 }, resilience: { panic: { threshold: 0 } } },
      want: [0, "fail_open"],
    },
    {
      said: "our mode beside Kong's threshold",
      init: { healthchecks: { threshold: 60 }, resilience: { panic: { mode: PanicMode.FAIL_OPEN } } },
      want: [60, "fail_open"],
    },
    {
      said: "another mode of ours",
      init: { resilience: { panic: { mode: PanicMode.LAST_GOOD } } },
      want: [0, "last_good"],
    },
    { said: "our mode", init: { resilience: { panic: { mode: PanicMode.FAIL_CLOSED } } }, want: [0, "fail_closed"] },
  ])("goes by $said", ({ init, want }) => {
    const compiled = compilePanic(create(UpstreamSchema, init));
    expect(compiled).toEqual({ ok: true, value: { thresholdPercent: want[0], mode: want[1] } });
  });

  it.each([
    { field: "healthchecks.threshold", init: { healthchecks: { threshold: 101 } } },
    { field: "resilience.panic.threshold", init: { resilience: { panic: { threshold: -1 } } } },
    { field: "resilience.panic.mode", init: { resilience: { panic: { mode: 9 as PanicMode } } } },
  ])("refuses $field", ({ field, init }) => {
    const compiled = compilePanic(create(UpstreamSchema, init));
    expect(compiled.ok ? null : compiled.problem.field).toBe(field);
  });
});
