import { timestampMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, it } from "vitest";
import { Algorithm, HashInput } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
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
const createTarget = async (target: string, upstream = "u") =>
  granted(await admin.target.create(targetDraft({ target }), upstream)).resource;

describe("openAdmin", () => {
  describe("create", () => {
    it("fills in defaults, id, times and etag, and stores what it returns", async () => {
      const created = await createUpstream();
      expect(created).toMatchObject({ revision: 1, warnings: [], isCreated: true });
      expect(created.resource).toMatchObject({ name: "u", algorithm: Algorithm.ROUND_ROBIN, slots: 10_000 });
      expect(created.resource.id).toMatch(/^[0-9a-f-]{36}$/);
      expect(timestampMs(created.resource.createdAt!)).toBe(nowMs);
      expect(created.resource.updatedAt).toEqual(created.resource.createdAt);
      expect(granted(admin.upstream.get({ key: "u" }))).toEqual(created.resource);
      expect(store.image.get("upstream", created.resource.id)?.message.etag).toBe("");
    });

    it("takes the client's id, and nothing else that the server sets", async () => {
      const draft = serviceDraft({ id, host: "a.test", createdAt: { seconds: 1n }, updatedAt: { seconds: 1n } });
      const { resource } = granted(await admin.service.create({ ...draft, paths: [...draft.paths, "etag"] }));
      expect(resource.id).toBe(id);
      expect(timestampMs(resource.createdAt!)).toBe(nowMs);
    });

    it("reports what is wrong with fields, combinations and references all at once", async () => {
      const created = await admin.route.create({
        ...routeDraft({ id: "zzz", paths: ["p"], sources: [{ ip: "::1" }], service: { name: "nope" } }),
        problems: [{ code: "invalid", field: "name", message: "expected a string" }],
      });
      expect(problemsOf(created)).toEqual([
        "invalid name: expected a string",
        "invalid id: expected a valid UUID",
        "invalid paths.0: should start with: / (fixed path) or ~/ (regex path)",
        "invalid sources: cannot set 'sources' when 'protocols' is 'http' or 'https'",
        `unresolved_reference service.name: the foreign key cannot be resolved with '{name="nope"}' for an existing 'services' entity`,
      ]);
      expect(store.transactCount).toBe(0);
    });

    it("refuses paths that name no field", async () => {
      const draft = serviceDraft({ host: "a.test" });
      const created = await admin.service.create({ ...draft, paths: [...draft.paths, "bogus", "__proto__"] });
      expect(problemsOf(created)).toEqual(["invalid bogus: unknown field", "invalid __proto__: unknown field"]);
    });

    it("refuses a taken name, id or address in Kong's words", async () => {
      const { resource } = await createUpstream();
      expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u" })))).toEqual([
        `duplicate_key name: UNIQUE violation detected on '{name="u"}'`,
      ]);
      expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "v", id: resource.id })))).toEqual([
        `duplicate_id id: primary key violation on key '{id="${resource.id}"}'`,
      ]);
      await createTarget("127.0.0.1:9001");
      const again = await admin.target.create(targetDraft({ target: "127.0.0.1:9001", weight: 7 }), resource.id);
      expect(problemsOf(again)).toEqual([
        `duplicate_key target: UNIQUE violation detected on '{target="127.0.0.1:9001",upstream={id="${resource.id}"}}'`,
      ]);
    });

    it("finds a duplicate that came between the check and the commit", async () => {
      const [first, second] = await Promise.all(
        ["u", "u"].map((name) => admin.upstream.create(upstreamDraft({ name }))),
      );
      expect([first?.ok, second?.ok].sort()).toEqual([false, true]);
      expect(problemsOf(first!.ok ? second! : first!)).toEqual([
        `duplicate_key name: UNIQUE violation detected on '{name="u"}'`,
      ]);
    });

    it.each(["__proto__", "constructor", "hasOwnProperty", "toString"])(
      "takes %s as a name like any other",
      async (name) => {
        expect(admin.service.get({ key: name }).ok).toBe(false);
        const headers = Object.fromEntries([[name, { values: [name] }]]);
        granted(await admin.service.create(serviceDraft({ name, host: "a.test", tags: [name] })));
        granted(await admin.route.create(routeDraft({ name, headers, tags: [name] }), name));
        const route = granted(admin.route.get({ key: name, parent: name }));
        expect(Object.entries(route.headers).map(([header, { values }]) => [header, values])).toEqual([[name, [name]]]);
        expect(granted(admin.route.list({ size: 10, tags: [name] })).rows).toEqual([route]);
        expect(({} as Record<string, unknown>)["values"]).toBeUndefined();
      },
    );
  });

  describe("references", () => {
    it("stores the id of what a name stands for", async () => {
      const service = await createService();
      const { resource } = granted(await admin.route.create(routeDraft({ paths: ["/p"], service: { name: "s" } })));
      expect(resource.service).toMatchObject({ id: service.resource.id, name: "" });
    });

    it.each([
      { service: { id: "nope" }, want: "invalid service.id: expected a valid UUID" },
      {
        service: { id },
        want: `dangling_reference service: the foreign key '{id="${id}"}' does not reference an existing 'services' entity.`,
      },
      { service: {}, want: "invalid service: required field missing" },
    ])("refuses $service", async ({ service, want }) => {
      expect(problemsOf(await admin.route.create(routeDraft({ paths: ["/p"], service })))).toEqual([want]);
    });

    it("refuses every reference to kinds that are not there yet", async () => {
      expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u", clientCertificate: { id } })))).toEqual([
        `dangling_reference client_certificate: the foreign key '{id="${id}"}' does not reference an existing 'certificates' entity.`,
      ]);
      const service = serviceDraft({ host: "a.test", protocol: 2, caCertificates: [id, "x"] });
      expect(problemsOf(await admin.service.create(service))).toEqual([
        "invalid ca_certificates.1: expected a valid UUID",
        `dangling_reference ca_certificates.0: the foreign key '{id="${id}"}' does not reference an existing 'ca_certificates' entity.`,
      ]);
    });

    it("finds a service that went between the check and the commit", async () => {
      const { resource } = await createService();
      store.beforeTransact = () => {
        store.beforeTransact = null;
        const gone = { kind: "service" as const, id: resource.id, operation: "delete" as const };
        store.transactNow([
          { ...gone, body: new Uint8Array(), expectedRevision: null, uniqueKeys: [], references: [] },
        ]);
      };
      expect(problemsOf(await admin.route.create(routeDraft({ paths: ["/p"] }), "s"))).toEqual([
        "not_found : Not found",
      ]);
    });

    it("never refuses a service's host, but warns of one that looks like an upstream's name", async () => {
      const warned = async (host: string) =>
        granted(await admin.service.create(serviceDraft({ host }))).warnings.map(({ field }) => field);
      expect(await warned("u")).toEqual(["host"]);
      await createUpstream();
      for (const host of ["u", "nowhere.test", "localhost", "::1"]) expect(await warned(host)).toEqual([]);
    });
  });

  describe("get", () => {
    it("finds by id and by name, and takes what looks like an id for one", async () => {
      granted(await admin.service.create(serviceDraft({ id, name: otherId, host: "a.test" })));
      expect(admin.service.get({ key: id }).ok).toBe(true);
      expect(problemsOf(admin.service.get({ key: otherId }))).toEqual(["not_found : Not found"]);
    });

    it("finds a target by id or address, within its upstream only", async () => {
      const [u] = [await createUpstream("u"), await createUpstream("v")];
      const target = await createTarget("a.test:80");
      expect(granted(admin.target.get({ key: "a.test:80", parent: "u" }))).toEqual(target);
      expect(granted(admin.target.get({ key: target.id, parent: u.resource.id }))).toEqual(target);
      for (const key of ["a.test:80", target.id]) {
        expect(problemsOf(admin.target.get({ key, parent: "v" }))).toEqual(["not_found : Not found"]);
        expect(problemsOf(admin.target.get({ key }))).toEqual(["not_found : Not found"]);
      }
    });

    it("finds a route below its service only, and names the parent that is missing", async () => {
      await createService("s");
      await createService("other");
      granted(await admin.route.create(routeDraft({ name: "r", paths: ["/p"] }), "s"));
      expect(admin.route.get({ key: "r" }).ok).toBe(true);
      expect(admin.route.get({ key: "r", parent: "s" }).ok).toBe(true);
      expect(admin.route.get({ key: "r", parent: "other" }).ok).toBe(false);
      expect(admin.route.get({ key: "r", parent: "nope" })).toEqual({
        ok: false,
        problems: [{ code: "not_found", field: "", message: "Not found", resource: { kind: "service", id: "nope" } }],
      });
    });
  });

  describe("update", () => {
    it("sets what the draft names and leaves the rest", async () => {
      granted(await admin.service.create(serviceDraft({ name: "s", host: "a.test", path: "/p", retries: 2 })));
      nowMs += 1000;
      const written = granted(await admin.service.update({ key: "s" }, serviceDraft({ port: 8080 }, ["path"])));
      expect(written).toMatchObject({ revision: 2, isCreated: false });
      expect(written.resource).toMatchObject({ host: "a.test", retries: 2, port: 8080 });
      expect(written.resource.path).toBeUndefined();
      expect(timestampMs(written.resource.createdAt!)).toBe(nowMs - 1000);
      expect(timestampMs(written.resource.updatedAt!)).toBe(nowMs);
    });

    it("makes updated_at grow even when the clock does not", async () => {
      await createService();
      nowMs -= 5000;
      const written = granted(await admin.service.update({ key: "s" }, serviceDraft({ port: 1 })));
      expect(timestampMs(written.resource.updatedAt!)).toBe(nowMs + 5001);
    });

    it("checks the merged resource, and null in required fields", async () => {
      granted(await admin.route.create(routeDraft({ name: "r", paths: ["/p"] })));
      expect(problemsOf(await admin.route.update({ key: "r" }, routeDraft({}, ["paths"])))).toEqual([
        "invalid : must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'",
      ]);
      await createService();
      expect(problemsOf(await admin.service.update({ key: "s" }, serviceDraft({}, ["host"])))).toEqual([
        "invalid host: required field missing",
      ]);
      await createUpstream();
      expect(problemsOf(await admin.upstream.update({ key: "u" }, upstreamDraft({}, ["healthchecks"])))).toEqual([
        "invalid healthchecks: required field missing",
      ]);
    });

    it("renames, unless the name is taken", async () => {
      await createService("s");
      await createService("taken");
      expect(problemsOf(await admin.service.update({ key: "s" }, serviceDraft({ name: "taken" })))).toEqual([
        `duplicate_key name: UNIQUE violation detected on '{name="taken"}'`,
      ]);
      granted(await admin.service.update({ key: "s" }, serviceDraft({ name: "t" })));
      expect(admin.service.get({ key: "s" }).ok).toBe(false);
      expect(admin.service.get({ key: "t" }).ok).toBe(true);
    });

    it("does not change the id", async () => {
      const { resource } = await createService();
      const written = granted(await admin.service.update({ key: "s" }, serviceDraft({ id, port: 1 })));
      expect(written.resource.id).toBe(resource.id);
    });

    it("says not_found of what is not there", async () => {
      expect(problemsOf(await admin.service.update({ key: "s" }, serviceDraft({ port: 1 })))).toEqual([
        "not_found : Not found",
      ]);
    });

    it("takes the etag of the stored version only", async () => {
      const { resource } = await createService();
      const second = granted(await admin.service.update({ key: "s" }, serviceDraft({ port: 1, etag: resource.etag })));
      expect(second.resource.etag).not.toBe(resource.etag);
      const stale = await admin.service.update({ key: "s" }, serviceDraft({ port: 2, etag: resource.etag }));
      expect(problemsOf(stale)).toEqual([
        `stale_etag etag: the resource has changed: its etag is '${second.resource.etag}' by now`,
      ]);
      expect(granted(admin.service.get({ key: "s" })).port).toBe(1);
    });

    it("warns of what is not acted on, by itself or with the rest, in what the write sets", async () => {
      await createUpstream();
      const written = granted(await admin.upstream.update({ key: "u" }, upstreamDraft({ hashOn: HashInput.CONSUMER })));
      expect(written.resource.algorithm).toBe(Algorithm.CONSISTENT_HASHING);
      expect(written.warnings.map(({ field }) => field)).toEqual(["hash_on"]);
      const other = upstreamDraft({ algorithm: Algorithm.LATENCY, slots: 100 });
      const { warnings } = granted(await admin.upstream.update({ key: "u" }, other));
      expect(warnings.map(({ field }) => field)).toEqual(["slots"]);
      expect(granted(await admin.upstream.update({ key: "u" }, upstreamDraft({ tags: ["a"] }))).warnings).toEqual([]);
    });
  });

  it("passes on that the store cannot write, and tries a lost race 5 times", async () => {
    store.refuseWith = { type: "unavailable", message: "the disk is full" };
    expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u" })))).toEqual([
      "unavailable : the disk is full",
    ]);
    store.refuseWith = { type: "revision", write: 0 };
    store.transactCount = 0;
    expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u" })))).toEqual([
      "unavailable : others changed the same at each of 5 tries; try again",
    ]);
    expect(store.transactCount).toBe(5);
  });

  it("believes the store about what the image does not show yet", async () => {
    store.refuseWith = { type: "duplicate_key", write: 0, key: "name:u" };
    expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u" })))).toEqual([
      `duplicate_key name: UNIQUE violation detected on '{name="u"}'`,
    ]);
    store.refuseWith = { type: "duplicate_id", write: 0 };
    expect(problemsOf(await admin.upstream.create(upstreamDraft({ name: "u", id })))).toEqual([
      `duplicate_id id: primary key violation on key '{id="${id}"}'`,
    ]);
    store.refuseWith = { type: "dangling_reference", write: 0, kind: "service", id };
    expect(problemsOf(await admin.route.create(routeDraft({ paths: ["/p"] })))).toEqual([
      `dangling_reference service: the foreign key '{id="${id}"}' does not reference an existing 'services' entity.`,
    ]);
  });
});
