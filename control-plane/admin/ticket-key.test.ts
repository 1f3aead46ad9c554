import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import { caCertificateDraft, certificateDraft, granted, sniDraft, upstreamDraft } from "../../test/support/drafts.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAdmin } from "./admin.ts";
import type { Admin } from "./resource-admin.ts";

let one: TestCertificate;
let two: TestCertificate;
let authority: TestCertificate;
beforeAll(async () => {
  [one, two, authority] = await Promise.all([makeCertificate(), makeCertificate({ key: "rsa" }), makeAuthority()]);
});

let store: MemoryStore;
let admin: Admin;
beforeEach(() => {
  store = new MemoryStore();
  admin = openAdmin(store, Date.now);
});

const draftOf = ({ certPem, keyPem }: TestCertificate, more: object = {}) =>
  certificateDraft({ cert: certPem, key: keyPem, ...more });
const createCertificate = async (of = one, more: object = {}) =>
  granted(await admin.certificate.create(draftOf(of, more))).resource;

/** The key, as the nodes get it; null without one. */
function ticketKey(): string | null {
  const [stored, ...more] = [...store.image.all("ticket_key")];
  expect(more).toEqual([]);
  return stored === undefined ? null : Buffer.from(stored.message.key).toString("hex");
}

/** Whether the key is another one after what is done, in the one revision that it makes. */
async function rotates(what: () => Promise<{ readonly ok: boolean }>): Promise<boolean> {
  const [before, revision] = [ticketKey(), store.image.revision];
  expect((await what()).ok).toBe(true);
  expect(store.image.revision).toBe(revision + 1);
  return ticketKey() !== before;
}

describe("withTicketKey", () => {
  it("makes a key with the first certificate, in its revision, and none before", async () => {
    granted(await admin.upstream.create(upstreamDraft({ name: "u" })));
    granted(await admin.ca_certificate.create(caCertificateDraft({ cert: authority.certPem })));
    expect(ticketKey()).toBeNull();
    expect(await rotates(() => admin.certificate.create(draftOf(one)))).toBe(true);
    expect(ticketKey()).toMatch(/^[0-9a-f]{96}$/);
  });

  it("keeps it through what withdraws nothing", async () => {
    const { id } = await createCertificate();
    expect(await rotates(() => admin.certificate.create(draftOf(two)))).toBe(false);
    expect(await rotates(() => admin.sni.create(sniDraft({ name: "a.test", certificate: { id } })))).toBe(false);
    expect(await rotates(() => admin.upstream.create(upstreamDraft({ name: "u" })))).toBe(false);
  });

  it("replaces it when a certificate, a name or an authority is changed or goes", async () => {
    const { id } = await createCertificate();
    const ca = granted(await admin.ca_certificate.create(caCertificateDraft({ cert: authority.certPem }))).resource;
    granted(await admin.sni.create(sniDraft({ name: "a.test", certificate: { id } })));
    const other = await createCertificate(two);
    const asked = { clientAuthentication: { caCertificates: [ca.id] } };
    expect(await rotates(() => admin.certificate.update({ key: id }, draftOf(two)))).toBe(true);
    expect(await rotates(() => admin.certificate.update({ key: id }, certificateDraft(asked)))).toBe(true);
    const moved = sniDraft({ certificate: { id: other.id } });
    expect(await rotates(() => admin.sni.update({ key: "a.test" }, moved))).toBe(true);
    expect(
      await rotates(() => admin.certificate.update({ key: id }, certificateDraft({}, ["client_authentication"]))),
    ).toBe(true);
    expect(await rotates(() => admin.ca_certificate.remove({ key: ca.id }))).toBe(true);
    expect(await rotates(() => admin.sni.remove({ key: "a.test" }))).toBe(true);
    expect(await rotates(() => admin.certificate.remove({ key: id }))).toBe(true);
  });

  it("replaces it when a new name asks clients for certificates that its old sessions never showed", async () => {
    await createCertificate(one, { snis: ["*.a.test"] });
    const ca = granted(await admin.ca_certificate.create(caCertificateDraft({ cert: authority.certPem }))).resource;
    const clientAuthentication = { caCertificates: [ca.id] };
    const asking = draftOf(two, { clientAuthentication, snis: ["b.a.test"] });
    expect(await rotates(() => admin.certificate.create(asking))).toBe(true);
    const { id } = granted(admin.certificate.get({ key: "b.a.test" }));
    expect(await rotates(() => admin.sni.create(sniDraft({ name: "c.a.test", certificate: { id } })))).toBe(true);
  });

  it("makes one key for first certificates that come at once", async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => admin.certificate.create(draftOf(one))));
    expect(made.every(({ ok }) => ok)).toBe(true);
    expect(store.image.count("certificate")).toBe(20);
    expect(ticketKey()).not.toBeNull();
  });

  it("is reached by no face", () => {
    expect(Object.keys(admin)).not.toContain("ticket_key");
  });
});
