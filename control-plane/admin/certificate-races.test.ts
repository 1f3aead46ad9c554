import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCertificate } from "../../test/support/certificates.ts";
import { certificateDraft, granted, sniDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { findDanglingReferences, inSnapshotOrder } from "../snapshot/build-snapshot.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { openAdmin } from "./admin.ts";
import type { Admin } from "./resource-admin.ts";

let folder: string;
let store: SqliteStore;
let admin: Admin;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "penstock-races-"));
  store = await openSqliteStore(join(folder, "store.db"));
  admin = openAdmin(store, Date.now);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const pair = makeCertificate();

async function createCertificate(snis: string[] = [], of = admin): Promise<string> {
  const { certPem, keyPem } = await pair;
  return granted(await of.certificate.create(certificateDraft({ cert: certPem, key: keyPem, snis }))).resource.id;
}

const ownerOf = (name: string) => {
  const sni = admin.sni.get({ key: name });
  return sni.ok ? sni.value.certificate!.id : null;
};

describe("certificates that share names", () => {
  it("give a name that many ask for at once to one of them, and tell the others whose it is", async () => {
    const { certPem, keyPem } = await pair;
    const draft = certificateDraft({ cert: certPem, key: keyPem, snis: ["a.test"] });
    const made = await Promise.all(Array.from({ length: 10 }, () => admin.certificate.create(draft)));
    const [owner, ...more] = made.filter((each) => each.ok).map((each) => each.value.resource.id);
    expect(more).toEqual([]);
    expect(ownerOf("a.test")).toBe(owner);
    const refused = made.filter((each) => !each.ok).flatMap((each) => each.problems.map(({ message }) => message));
    expect(new Set(refused)).toEqual(new Set([`a.test already associated with existing certificate '${owner}'`]));
    expect([store.image.count("certificate"), store.image.count("sni")]).toEqual([1, 1]);
  });

  it("leave a name alone that was given to another one while it was taken off the list, or went", async () => {
    const one = await createCertificate(["a.test", "b.test"]);
    const two = await createCertificate();
    const move = (name: string) => admin.sni.update({ key: name }, sniDraft({ certificate: { id: two } }));
    const [moved, emptied] = await Promise.all([
      move("a.test"),
      admin.certificate.update({ key: one }, certificateDraft({}, ["snis"])),
    ]);
    expect([moved.ok, emptied.ok]).toEqual([true, true]);
    expect([ownerOf("a.test"), ownerOf("b.test")]).toEqual([two, null]);
    granted(await admin.certificate.update({ key: one }, certificateDraft({ snis: ["b.test"] })));
    const [movedToo, gone] = await Promise.all([move("b.test"), admin.certificate.remove({ key: one })]);
    expect([movedToo.ok, gone.ok]).toEqual([true, true]);
    expect(ownerOf("b.test")).toBe(two);
  });

  it("leave no name without a certificate, whatever is written at once", async () => {
    const names = Array.from({ length: 6 }, (_, i) => `n${i}.test`);
    const ids = await Promise.all(names.map((name) => createCertificate([name])));
    const writes = Array.from({ length: 120 }, (_, i) => {
      const [id, name, other] = [ids[i % 6]!, names[(i * 5) % 6]!, names[(i * 7 + 1) % 6]!];
      if (i % 5 === 0) return admin.sni.update({ key: name }, sniDraft({ certificate: { id } }));
      if (i % 5 === 1) return admin.sni.remove({ key: other });
      if (i % 29 === 7) return admin.certificate.remove({ key: id });
      return admin.certificate.update({ key: id }, certificateDraft({ snis: [name, other] }));
    });
    const outcomes = await Promise.all(writes);
    const codes = outcomes.flatMap((each) => (each.ok ? [] : each.problems.map(({ code }) => code)));
    const expected = ["invalid", "not_found", "dangling_reference", "unavailable"];
    expect(codes.filter((code) => !expected.includes(code))).toEqual([]);
    expect(outcomes.some(({ ok }) => ok)).toBe(true);
    const all = inSnapshotOrder((kind) => store.image.all(kind));
    expect(findDanglingReferences(all, store.image)).toEqual([]);
    const listed = granted(admin.certificate.list({ size: 100 })).rows.flatMap(({ snis }) => snis);
    expect([...listed].sort()).toEqual([...store.image.all("sni")].map(({ message }) => message.name).sort());
  });

  it("are told to try again where another's write meets theirs at every try", async () => {
    const memory = new MemoryStore();
    const slow = openAdmin(memory, Date.now);
    const one = await createCertificate(["a.test"], slow);
    memory.refuseWith = { type: "duplicate_key", write: 1, key: "name:b.test" };
    const written = await slow.certificate.update({ key: one }, certificateDraft({ snis: ["b.test"] }));
    expect(written.ok ? [] : written.problems.map(({ code }) => code)).toEqual(["unavailable"]);
  });
});
