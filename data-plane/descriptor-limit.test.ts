import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connectionRoom, openDescriptorLimit } from "./descriptor-limit.ts";

describe("connectionRoom", () => {
  it.each([
    { descriptors: null, workers: 4, want: Number.POSITIVE_INFINITY },
    { descriptors: 1_048_576, workers: 4, want: 524_208 },
    { descriptors: 20_000, workers: 2, want: 9_944 },
    { descriptors: 256, workers: 1, want: 84 },
    { descriptors: 64, workers: 1, want: 1 },
  ])("lets $want in with $descriptors descriptors and $workers workers", ({ descriptors, workers, want }) => {
    expect(connectionRoom(descriptors, workers)).toBe(want);
  });
});

describe("openDescriptorLimit", () => {
  it("says nothing where the system does not tell", () => {
    expect(openDescriptorLimit("/nowhere")()).toBeNull();
  });

  it("says what is in the file now, not when it was opened", () => {
    const file = join(mkdtempSync(join(tmpdir(), "penstock-test-")), "limits");
    onTestFinished(() => rmSync(dirname(file), { recursive: true }));
    const text = (count: string) =>
      `Limit          Soft Limit   Hard Limit   Units\nMax open files ${count}     20000  files\n`;
    writeFileSync(file, text("1024"));
    const limit = openDescriptorLimit(file);
    expect(limit()).toBe(1_024);
    writeFileSync(file, text("256"));
    expect(limit()).toBe(256);
    writeFileSync(file, text("unlimited"));
    expect(limit()).toBeNull();
  });

  it.runIf(process.platform === "linux")("is what the system says", () => {
    expect(openDescriptorLimit()()).toBeGreaterThan(16);
  });
});
