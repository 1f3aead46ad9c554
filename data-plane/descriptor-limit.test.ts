import { describe, expect, it } from "vitest";
import { connectionsFor, descriptorLimit } from "./descriptor-limit.ts";

describe("connectionsFor", () => {
  it.each([
    { descriptors: null, workers: 4, want: 32_768 },
    { descriptors: 1_048_576, workers: 4, want: 32_768 },
    { descriptors: 20_000, workers: 2, want: 9_944 },
    { descriptors: 256, workers: 1, want: 84 },
    { descriptors: 64, workers: 1, want: 1 },
  ])("lets $want in with $descriptors descriptors and $workers workers", ({ descriptors, workers, want }) => {
    expect(connectionsFor(descriptors, workers)).toBe(want);
  });
});

describe("descriptorLimit", () => {
  it("is null where the system does not tell", () => {
    expect(descriptorLimit("/nowhere")).toBeNull();
  });

  it.runIf(process.platform === "linux")("is what the system says", () => {
    expect(descriptorLimit()).toBeGreaterThan(16);
  });
});
