import { beforeEach, describe, expect, it } from "vitest";
import { granted, routeDraft, serviceDraft, targetDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import type { Checked } from "../resource/checked.ts";
import { openAdmin } from "./admin.ts";
import type { Admin } from "./resource-admin.ts";

const id = "11111111-1111-4111-8111-111111111111";
const otherId = "22222222-2222-4222-8222-222222222222";

let store: MemoryStore;
let admin: Admin;
let nowMs: number;

beforeEach(() => {
  store = new MemoryStore();
  nowMs = 1_700_000_000_123;
  admin = openAdmin(store, () => nowMs);
});

const problemsOf = (checked: Checked<unknown>): string[] =>
  checked.ok ? [] : checked.problems.map(({ code, field, message }) => `${code} ${field}: ${message}`);

const createUpstream = async (name = "u") => granted(await admin.upstream.create(upstreamDraft({ name })));
const createService = async (name = "s") => granted(await admin.service.create(serviceDraft({ name, host: "a.test" })));

describe("replaceResource", () => {
  it("creates by an unknown id with that id, and by an unknown name with that name", async () => {
    const byId = granted(
      await admin.service.replace({ key: id }, serviceDraft({ name: "s", host: "a.test", id: otherId })),
    );
    expect(byId).toMatchObject({ isCreated: true, resource: { id, name: "s" } });
    const byName = granted(await admin.upstream.replace({ key: "u" }, upstreamDraft({ name: "body" })));
    expect(byName).toMatchObject({ isCreated: true, resource: { name: "u" } });
    expect(problemsOf(await admin.upstream.replace({ key: otherId }, upstreamDraft({})))).toEqual([
      "invalid name: required field missing",
    ]);
  });

  it("returns what the draft does not name to its default, and keeps id, creation and the name of the address", async () => {
    const draft = serviceDraft({ name: "s", host: "a.test", port: 8080, tags: ["x"] });
    const created = granted(await admin.service.create(draft)).resource;
    nowMs += 1000;
    const replaced = granted(await admin.service.replace({ key: "s" }, serviceDraft({ host: "b.test" })));
    expect(replaced).toMatchObject({
      isCreated: false,
      resource: { id: created.id, name: "s", host: "b.test", port: 80 },
    });
    expect(replaced.resource.tags).toEqual([]);
    expect(replaced.resource.createdAt).toEqual(created.createdAt);
    const byId = granted(await admin.service.replace({ key: created.id }, serviceDraft({ host: "b.test" })));
    expect(byId.resource.name).toBeUndefined();
  });

  it("creates once when many put the same new name", async () => {
    const put = (port: number) => admin.service.replace({ key: "s" }, serviceDraft({ host: "a.test", port }));
    const written = (await Promise.all([put(1), put(2), put(3), put(4)])).map(granted);
    expect(written.filter(({ isCreated }) => isCreated)).toHaveLength(1);
    expect(store.image.count("service")).toBe(1);
    expect(granted(admin.service.get({ key: "s" })).port).toBe(4);
  });

  it("replaces a target but creates none", async () => {
    await createUpstream();
    expect(
      problemsOf(await admin.target.replace({ key: id, parent: "u" }, targetDraft({ target: "a.test:1" }))),
    ).toEqual(["not_found : Not found"]);
    const { id: targetId } = granted(
      await admin.target.create(targetDraft({ target: "a.test:1", weight: 5 }), "u"),
    ).resource;
    const replaced = granted(
      await admin.target.replace({ key: "a.test:1", parent: "u" }, targetDraft({ tags: ["x"] })),
    );
    expect(replaced.resource).toMatchObject({ id: targetId, target: "a.test:1", weight: 100, tags: ["x"] });
  });

  it("puts a route below the service of its address, and not another service's route", async () => {
    const s = await createService("s");
    await createService("other");
    const draft = routeDraft({ paths: ["/p"] });
    const { resource } = granted(await admin.route.replace({ key: id, parent: "s" }, draft));
    expect(resource.service?.id).toBe(s.resource.id);
    expect(problemsOf(await admin.route.replace({ key: id, parent: "other" }, draft))).toEqual([
      "not_found : Not found",
    ]);
    const contrary = routeDraft({ paths: ["/p"], service: { name: "other" } });
    expect(problemsOf(await admin.route.replace({ key: id, parent: "s" }, contrary))).toEqual([
      "invalid service: differs from the one that the address names",
    ]);
    expect(
      (await admin.route.replace({ key: id, parent: "s" }, routeDraft({ paths: ["/p"], service: { name: "s" } }))).ok,
    ).toBe(true);
  });
});
