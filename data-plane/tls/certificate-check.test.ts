import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { inDays, makeAuthority, makeCertificate } from "../../test/support/certificates.ts";
import { CertificateCheck } from "./certificate-check.ts";

const check = new CertificateCheck(100);
const authority = await makeAuthority();
const leaf = await makeCertificate({ names: ["a.test"], issuer: authority, notAfter: inDays(3) });
const other = await makeCertificate({ names: ["a.test"] });
const rsa = await makeCertificate({ key: "rsa" });

describe("CertificateCheck", () => {
  it("takes a pair, and says its type and when it expires", async () => {
    const expiresAtMs = Date.parse(leaf.certificate.notAfter.toUTCString());
    const digest = createHash("sha256").update(`${leaf.chainPem}\0${leaf.keyPem}`).digest("base64");
    expect(check.pair(leaf.chainPem, leaf.keyPem)).toEqual({ ok: true, digest, keyType: "ec", expiresAtMs });
    expect(check.pair(rsa.certPem, rsa.keyPem)).toMatchObject({ ok: true, keyType: "rsa" });
  });

  it("takes one that has expired: the control plane let it in when it had not, and serving it beats serving none", async () => {
    const old = await makeCertificate({ notBefore: inDays(-3), notAfter: inDays(-1) });
    expect(check.pair(old.certPem, old.keyPem).ok).toBe(true);
  });

  it.each([
    { name: "no certificate", cert: "x", key: leaf.keyPem, part: "cert", says: /no certificate/ },
    {
      name: "a broken one",
      cert: leaf.certPem.replace(/[A-Za-z]{20}/, ""),
      key: leaf.keyPem,
      part: "cert",
      says: /read/,
    },
    { name: "no key", cert: leaf.certPem, key: "x", part: "key", says: /no private key/ },
    { name: "a certificate for a key", cert: leaf.certPem, key: leaf.certPem, part: "key", says: /no private key/ },
    { name: "a key of another type", cert: leaf.certPem, key: rsa.keyPem, part: "key", says: /does not match/ },
    { name: "the key of another", cert: leaf.certPem, key: other.keyPem, part: "key", says: /does not match/ },
  ])("says what is wrong: $name", ({ cert, key, part, says }) => {
    const outcome = check.pair(cert, key);
    expect(outcome).toMatchObject({ ok: false, part });
    expect(outcome.ok || outcome.message).toMatch(says);
  });

  it("says why a pair that matches cannot be served", async () => {
    const weak = await makeCertificate({ key: "rsa-1024" });
    expect(check.pair(weak.certPem, weak.keyPem)).toMatchObject({ part: "cert", message: /key too small/ });
  });

  it("takes an authority, and nothing else for one", async () => {
    expect(check.authority(authority.certPem)).toBeNull();
    expect(check.authority(leaf.certPem)).toBe("may not issue certificates");
    expect(check.authority(authority.certPem + authority.certPem)).toBe("is not one certificate");
    expect(check.authority("")).toBe("is not one certificate");
    expect(check.authority("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).toMatch(/read/);
  });

  it("remembers so many, and answers the same again", () => {
    const small = new CertificateCheck(2);
    for (const { certPem, keyPem } of [leaf, other, leaf])
      expect(small.pair(certPem, keyPem)).toMatchObject({ ok: true });
    const first = small.pair(leaf.certPem, leaf.keyPem);
    expect(small.pair(leaf.certPem, leaf.keyPem)).toBe(first);
    small.pair("x", "y");
    small.pair("x", "z");
    expect(small.pair(leaf.certPem, leaf.keyPem)).not.toBe(first);
  });
});
