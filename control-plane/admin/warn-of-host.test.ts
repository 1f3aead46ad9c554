import { beforeEach, describe, expect, it } from "vitest";
import { granted, routeDraft, serviceDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAdmin } from "./admin.ts";
import type { Admin } from "./resource-admin.ts";

let admin: Admin;
let asked: string[];

beforeEach(() => {
  asked = [];
  const problemOf = async (name: string) => {
    asked.push(name);
    return name.startsWith("known") ? null : "ENOTFOUND";
  };
  admin = openAdmin(new MemoryStore(), Date.now, undefined, { problemOf });
});

const message =
  "'gone.test' does not resolve where the control plane runs (ENOTFOUND); nodes resolve names by themselves, and go by what they find";

describe("warnOfHost", () => {
  it("warns of a host that does not resolve, whichever write names it, and writes it all the same", async () => {
    const draft = serviceDraft({ name: "s", host: "gone.test" });
    const warnings = [{ field: "host", message }];
    const created = granted(await admin.service.create(draft));
    expect([created.warnings, created.resource.host]).toEqual([warnings, "gone.test"]);
    expect(granted(await admin.service.replace({ key: "s" }, draft)).warnings).toEqual(warnings);
    const update = serviceDraft({ host: "gone.test" });
    expect(granted(await admin.service.update({ key: "s" }, update)).warnings).toEqual(warnings);
    granted(await admin.route.create(routeDraft({ name: "r", paths: ["/"] })));
    const made = await admin.service.createFor({ kind: "route", key: "r" }, serviceDraft({ host: "gone.test" }));
    expect(granted(made).warnings).toEqual(warnings);
  });

  it("says so beside what is told of a name without a dot", async () => {
    const { warnings } = granted(await admin.service.create(serviceDraft({ host: "gone" })));
    expect(warnings.map(({ message: text }) => text.slice(0, 24))).toEqual([
      "no upstream is named 'go",
      "'gone' does not resolve ",
    ]);
  });

  it.each(["known.test", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "localhost", "u", "_http._tcp.a.test"])(
    "does not warn of %s",
    async (host) => {
      granted(await admin.upstream.create(upstreamDraft({ name: "u" })));
      expect(granted(await admin.service.create(serviceDraft({ host }))).warnings).toEqual([]);
      expect(asked).toEqual(host === "known.test" ? [host] : []);
    },
  );

  it("looks nothing up for a write that does not name the host, or that is refused", async () => {
    granted(await admin.service.create(serviceDraft({ name: "s", host: "gone.test" })));
    asked = [];
    expect(granted(await admin.service.update({ key: "s" }, serviceDraft({ retries: 1 }))).warnings).toEqual([]);
    expect((await admin.service.create(serviceDraft({ name: "s", host: "gone.test" }))).ok).toBe(false);
    expect(asked).toEqual([]);
  });
});
