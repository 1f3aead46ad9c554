import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeCertificate } from "../../test/support/certificates.ts";
import { keepDefaultCertificate, readDefaultCertificate } from "./default-certificate.ts";

const dayMs = 86_400_000;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "penstock-default-"));
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

describe("keepDefaultCertificate", () => {
  it("makes one for localhost at first, and the same is there ever after, for its owner alone", async () => {
    const made = await keepDefaultCertificate(folder, Date.now());
    const certificate = new X509Certificate(made.pair.certPem);
    expect(certificate.checkHost("localhost")).toBe("localhost");
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
    expect([certificate.ca, certificate.verify(certificate.publicKey)]).toEqual([false, true]);
    expect(made.expiresAtMs - Date.now()).toBeGreaterThan(9 * 365 * dayMs);
    expect(readdirSync(folder).sort()).toEqual(["default-certificate.pem", "default-key.pem"]);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(await keepDefaultCertificate(folder, Date.now())).toEqual(made);
  });

  it.each([
    { name: "expires soon", spoil: () => {}, afterMs: (10 * 365 - 29) * dayMs },
    { name: "has lost its key", spoil: () => rmSync(join(folder, "default-key.pem")), afterMs: 0 },
    { name: "is broken", spoil: () => writeFileSync(join(folder, "default-certificate.pem"), "x"), afterMs: 0 },
  ])("makes another when the one that is kept $name", async ({ spoil, afterMs }) => {
    const made = await keepDefaultCertificate(folder, Date.now());
    spoil();
    const next = await keepDefaultCertificate(folder, Date.now() + afterMs);
    expect(next.pair.certPem).not.toBe(made.pair.certPem);
    expect(await keepDefaultCertificate(folder, Date.now() + afterMs)).toEqual(next);
  });

  it("says when it cannot be kept", async () => {
    rmSync(folder, { recursive: true });
    const kept = keepDefaultCertificate(folder, Date.now());
    await expect(kept).rejects.toThrow(/^cannot keep the default certificate: ENOENT/);
    folder = mkdtempSync(join(tmpdir(), "penstock-default-"));
  });
});

describe("readDefaultCertificate", () => {
  it("reads the user's own, and says what is wrong with it", async () => {
    const [good, other] = [await makeCertificate({ names: ["a.test"] }), await makeCertificate()];
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const [cert, key, wrongKey] = [file("c", good.certPem), file("k", good.keyPem), file("w", other.keyPem)];
    expect(readDefaultCertificate(cert, key).pair).toEqual({ certPem: good.certPem, keyPem: good.keyPem });
    expect(() => readDefaultCertificate(cert, wrongKey)).toThrow(`${wrongKey} does not match the certificate`);
    expect(() => readDefaultCertificate(key, key)).toThrow(`${key} is no certificate that can be read`);
    expect(() => readDefaultCertificate(join(folder, "none"), key)).toThrow(/cannot read .*none: ENOENT/);
    expect(readFileSync(key, "utf8")).toBe(good.keyPem);
  });
});
