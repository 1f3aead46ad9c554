import { beforeEach, describe, expect, it } from "vitest";
import { HARD_LIMITS, type HardLimits } from "../../proto/hard-limits.ts";
import { granted, routeDraft, serviceDraft, targetDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import type { Checked } from "../resource/checked.ts";
import { openAdmin } from "./admin.ts";

let store: MemoryStore;
const adminWith = (limits: Partial<HardLimits>) =>
  openAdmin(store, () => 1_700_000_000_123, undefined, undefined, { limits: { ...HARD_LIMITS, ...limits } });

const problemsOf = (checked: Checked<unknown>): string[] =>
  checked.ok ? [] : checked.problems.map(({ code, field, message }) => `${code} ${field}: ${message}`);

/** So many tags of 1,000 bytes each. */
const long = (count: number) => Array.from({ length: count }, (_, i) => `${i}`.padEnd(1_000, "x"));

beforeEach(() => {
  store = new MemoryStore();
});

describe("excessProblem", () => {
  it("refuses one more than the limit of each kind, and lets what is there be changed", async () => {
    const admin = adminWith({ servicesMax: 1, routesMax: 1, upstreamsMax: 1, targetsMax: 1 });
    granted(await admin.service.create(serviceDraft({ name: "s", host: "a.test" })));
    granted(await admin.route.create(routeDraft({ name: "r", paths: ["/a"] })));
    granted(await admin.upstream.create(upstreamDraft({ name: "u" })));
    granted(await admin.target.create(targetDraft({ target: "a.test:80" }), "u"));
    const refused = "invalid : there are 1 of this kind already; no node takes more";
    const again = [
      await admin.service.create(serviceDraft({ name: "s2", host: "a.test" })),
      await admin.route.create(routeDraft({ name: "r2", paths: ["/a"] })),
      await admin.upstream.replace({ key: "u2" }, upstreamDraft({ name: "u2" })),
      await admin.target.create(targetDraft({ target: "b.test:80" }), "u"),
    ];
    expect(again.map(problemsOf)).toEqual(again.map(() => [refused]));
    granted(await admin.route.replace({ key: "r" }, routeDraft({ paths: ["/b"] })));
    granted(await admin.route.remove({ key: "r" }));
    granted(await admin.route.create(routeDraft({ name: "r2", paths: ["/a"] })));
  });

  it("refuses one more target in an upstream, and names the field", async () => {
    const admin = adminWith({ targetsPerUpstreamMax: 2 });
    for (const name of ["u", "v"]) granted(await admin.upstream.create(upstreamDraft({ name })));
    for (const target of ["a.test:80", "b.test:80"]) granted(await admin.target.create(targetDraft({ target }), "u"));
    expect(problemsOf(await admin.target.create(targetDraft({ target: "c.test:80" }), "u"))).toEqual([
      "invalid upstream: has 2 targets already; no node takes more",
    ]);
    granted(await admin.target.update({ key: "a.test:80", parent: "u" }, targetDraft({ weight: 7 })));
    granted(await admin.target.create(targetDraft({ target: "c.test:80" }), "v"));
  });

  it("refuses what makes the whole too large, and lets it shrink", async () => {
    const admin = adminWith({ bodyBytesMax: 10_000 });
    granted(await admin.upstream.create(upstreamDraft({ name: "u", tags: long(5) })));
    expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "v", tags: long(6) })))).toEqual([
      "invalid : the configuration would be larger than 10000 bytes, which no node takes",
    ]);
    granted(await admin.upstream.update({ key: "u" }, upstreamDraft({ tags: ["x"] })));
    granted(await admin.upstream.create(upstreamDraft({ name: "v", tags: long(6) })));
  });
});
