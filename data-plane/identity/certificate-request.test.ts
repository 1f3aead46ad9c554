import "reflect-metadata";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import { describe, expect, it } from "vitest";
import { certificateRequest } from "./certificate-request.ts";

describe("certificateRequest", () => {
  it("is what another implementation reads, of every key", async () => {
    // Signatures differ in length: enough of them to meet each.
    for (let i = 0; i < 50; i++) {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const request = new Pkcs10CertificateRequest(new Uint8Array(certificateRequest(privateKey)));
      expect(await request.verify()).toBe(true);
      expect(request.subject).toBe("");
      const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
      expect(Buffer.from(request.publicKey.rawData).equals(spki)).toBe(true);
    }
  });
});
