import { beforeEach, describe, expect, it } from "vitest";
import { granted, routeDraft, serviceDraft, targetDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import type { Checked } from "../resource/checked.ts";
import { openAdmin } from "./admin.ts";
import type { Admin } from "./resource-admin.ts";

let store: MemoryStore;
let admin: Admin;

beforeEach(() => {
  store = new MemoryStore();
  admin = openAdmin(store, Date.now);
});

const problemsOf = (checked: Checked<unknown>): string[] =>
  checked.ok ? [] : checked.problems.map(({ code, field, message }) => `${code} ${field}: ${message}`);

const createUpstream = async (name = "u") => granted(await admin.upstream.create(upstreamDraft({ name })));
const createService = async (name = "s") => granted(await admin.service.create(serviceDraft({ name, host: "a.test" })));
const createTarget = async (target: string, upstream = "u") =>
  granted(await admin.target.create(targetDraft({ target }), upstream)).resource;

describe("removeResource", () => {
  it("says not_found the second time", async () => {
    await createService();
    expect(granted(await admin.service.remove({ key: "s" }))).toEqual({ revision: 2 });
    expect(problemsOf(await admin.service.remove({ key: "s" }))).toEqual(["not_found : Not found"]);
  });

  it("takes the etag of the stored version only", async () => {
    const { resource } = await createService();
    granted(await admin.service.update({ key: "s" }, serviceDraft({ port: 1 })));
    expect((await admin.service.remove({ key: "s" }, resource.etag)).ok).toBe(false);
    expect(admin.service.get({ key: "s" }).ok).toBe(true);
    expect((await admin.service.remove({ key: "s" }, granted(admin.service.get({ key: "s" })).etag)).ok).toBe(true);
  });

  it("refuses a service that routes refer to", async () => {
    await createService();
    const { resource } = granted(await admin.route.create(routeDraft({ paths: ["/p"] }), "s"));
    expect(await admin.service.remove({ key: "s" })).toEqual({
      ok: false,
      problems: [
        {
          code: "still_referenced",
          field: "",
          message: "an existing 'routes' entity references this 'services' entity",
          resource: { kind: "route", id: resource.id },
        },
      ],
    });
  });

  it("takes the targets of an upstream with it, in one revision, and no other's", async () => {
    await createUpstream("u");
    await createUpstream("v");
    await createTarget("a.test:1");
    await createTarget("b.test:1");
    await createTarget("a.test:1", "v");
    const before = store.image.revision;
    expect(granted(await admin.upstream.remove({ key: "u" })).revision).toBe(before + 1);
    expect(store.image.count("target")).toBe(1);
    expect(store.image.count("upstream")).toBe(1);
  });

  it("takes a target with it that came while it went", async () => {
    await createUpstream();
    await createTarget("a.test:1");
    const [removed, created] = await Promise.all([
      admin.upstream.remove({ key: "u" }),
      admin.target.create(targetDraft({ target: "b.test:1" }), "u"),
    ]);
    expect(removed.ok).toBe(true);
    expect(store.image.count("target")).toBe(0);
    // Which of the two the store saw first decides; either way nothing dangles.
    expect(created.ok || problemsOf(created)[0] === "not_found : Not found").toBe(true);
  });
});
