import { describe, expect, it } from "vitest";
import { makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { caCertificateDraft, certificateDraft, granted } from "../../test/support/drafts.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAdmin } from "./admin.ts";
import { startExpiryLog } from "./log-expiring-certificates.ts";

const dayMs = 86_400_000;

describe("startExpiryLog", () => {
  it("warns at once and daily of what ends within 30 days, and of what has ended", async () => {
    const clock = new ManualClock();
    const notBefore = new Date(0);
    const inDays = (days: number) => new Date(clock.unixMs() + days * dayMs);
    const [leaf, alt, authority] = await Promise.all([
      makeCertificate({ notBefore, notAfter: inDays(31.5) }),
      makeCertificate({ notBefore, notAfter: inDays(300), key: "rsa" }),
      makeAuthority({ notBefore, notAfter: inDays(30.5) }),
    ]);
    const store = new MemoryStore();
    const admin = openAdmin(store, () => clock.unixMs());
    const pairs = { cert: leaf.certPem, key: leaf.keyPem, certAlt: alt.certPem, keyAlt: alt.keyPem };
    const { resource } = granted(await admin.certificate.create(certificateDraft({ ...pairs, snis: ["a.test"] })));
    const ca = granted(await admin.ca_certificate.create(caCertificateDraft({ cert: authority.certPem }))).resource;
    const lines: unknown[] = [];
    const log = { warn: (...line: unknown[]) => void lines.push(line) };
    const stop = startExpiryLog({ image: store.image, clock, log: log as never });
    expect(lines).toEqual([]);
    const ofAuthority = (days: number) => [
      { ca_certificate: ca.id, field: "cert", not_after: new Date(authority.certificate.notAfter).toISOString(), days },
      "a certificate expires soon",
    ];
    const ofLeaf = (days: number, message: string) => [
      {
        certificate: resource.id,
        server_names: ["a.test"],
        field: "cert",
        not_after: new Date(leaf.certificate.notAfter).toISOString(),
        days,
      },
      message,
    ];
    clock.advance(dayMs);
    expect(lines.splice(0)).toEqual([ofAuthority(29)]);
    clock.advance(dayMs);
    expect(lines.splice(0)).toEqual([ofLeaf(29, "a certificate expires soon"), ofAuthority(28)]);
    granted(await admin.ca_certificate.remove({ key: ca.id }));
    clock.advance(30 * dayMs);
    expect(lines).toHaveLength(30);
    expect(lines.at(-1)).toEqual(ofLeaf(-1, "a certificate has expired"));
    stop();
    clock.advance(dayMs);
    expect(lines).toHaveLength(30);
  });
});
