import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { describe, expect, it } from "vitest";
import { inDays, makeAuthority, makeCertificate, makeRevocationList } from "./certificates.ts";

describe("makeCertificate", () => {
  it("makes a chain that OpenSSL takes", async () => {
    const root = await makeAuthority({ commonName: "Root", key: "rsa" });
    const intermediate = await makeAuthority({ commonName: "Between", issuer: root, pathLength: 0 });
    const leaf = await makeCertificate({ names: ["a.test", "127.0.0.1"], issuer: intermediate });
    const parsed = new X509Certificate(leaf.certPem);
    expect(parsed.checkIssued(new X509Certificate(intermediate.certPem))).toBe(true);
    expect(parsed.verify(new X509Certificate(intermediate.certPem).publicKey)).toBe(true);
    expect(new X509Certificate(intermediate.certPem).verify(new X509Certificate(root.certPem).publicKey)).toBe(true);
    expect(parsed.checkHost("a.test")).toBe("a.test");
    expect(parsed.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect([parsed.ca, new X509Certificate(root.certPem).ca]).toEqual([false, true]);
    expect(leaf.chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(parsed.fingerprint256.replaceAll(":", "").toLowerCase()).toBe(leaf.digest);
    createSecureContext({ cert: leaf.chainPem, key: leaf.keyPem, ca: root.certPem });
  });

  it.each(["ec", "ec-p384", "rsa", "ed25519", "rsa-1024"] as const)("makes keys that fit: %s", async (key) => {
    const { certPem, keyPem } = await makeCertificate({ key, names: ["a.test"] });
    expect(new X509Certificate(certPem).publicKey.asymmetricKeyType).toBe(key.replace(/-.*/, ""));
    // The last one is refused by OpenSSL's usual security level, as it should be.
    if (key !== "rsa-1024") createSecureContext({ cert: certPem, key: keyPem });
    else expect(() => createSecureContext({ cert: certPem, key: keyPem })).toThrow(/too small/);
  });

  it("makes what is out of time, for another use, and revoked", async () => {
    const root = await makeAuthority();
    const old = await makeCertificate({ issuer: root, notBefore: inDays(-20), notAfter: inDays(-10) });
    expect(new Date(new X509Certificate(old.certPem).validTo).getTime()).toBeLessThan(Date.now());
    const other = await makeCertificate({ issuer: root, usages: ["codeSigning"] });
    expect(new X509Certificate(other.certPem).keyUsage).toEqual(["1.3.6.1.5.5.7.3.3"]);
    createSecureContext({ ca: root.certPem, crl: await makeRevocationList(root, [old]) });
  });
});
