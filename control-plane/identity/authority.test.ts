import "reflect-metadata";
import { webcrypto, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import * as x509 from "@peculiar/x509";
import { describe, expect, it } from "vitest";
import { makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { openAuthority } from "./authority.ts";

const dayMs = 86_400_000;

describe("Authority", () => {
  it("vouches for SPIFFE ids, and for no hostname even where its key is in wrong hands", async () => {
    const store = new MemoryStore();
    const authority = await openAuthority(store, Date.now());
    const own = await authority.certifyControlPlane(Date.now(), dayMs);
    expect(new X509Certificate(own.cert).subjectAltName).toBe("URI:spiffe://penstock/control-plane");
    expect(await verifiedBy(authority.certificate, own.cert, own.key)).toBe("authorized");
    const stored = [...store.image.all("node_authority")][0]!.message;
    const issuer = await stolen(stored.certificate, stored.key);
    const host = await makeCertificate({ issuer, names: ["bank.example"] });
    const address = await makeCertificate({ issuer, commonName: "an address", names: ["127.0.0.1"] });
    // So Node calls what OpenSSL calls an excluded subtree violation; the same key's word for a node is taken.
    for (const { certPem, keyPem } of [host, address])
      expect(await verifiedBy(authority.certificate, certPem, keyPem)).toBe("UNSPECIFIED");
    const uri = new x509.SubjectAlternativeNameExtension([{ type: "url", value: "spiffe://penstock/node/x" }]);
    const node = await makeCertificate({ issuer, commonName: "a node", extensions: [uri] });
    expect(await verifiedBy(authority.certificate, node.certPem, node.keyPem)).toBe("authorized");
    const foreign = new x509.SubjectAlternativeNameExtension([{ type: "url", value: "spiffe://other/node/x" }]);
    const stranger = await makeCertificate({ issuer, commonName: "a node", extensions: [foreign] });
    expect(await verifiedBy(authority.certificate, stranger.certPem, stranger.keyPem)).toBe("UNSPECIFIED");
  });
});

/** The authority as a thief of its key has it. */
async function stolen(certPem: string, keyPem: string): Promise<TestCertificate> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const pkcs8 = x509.PemConverter.decodeFirst(keyPem);
  const privateKey = await webcrypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, true, ["sign"]);
  const certificate = new x509.X509Certificate(certPem);
  const publicKey = await certificate.publicKey.export(algorithm, ["verify"]);
  const keys = { privateKey, publicKey } as unknown as webcrypto.CryptoKeyPair;
  return { certPem, keyPem, chainPem: certPem, certificate, keys, issuer: null, digest: "" };
}

/** What a client of TLS that trusts the authority finds of a server's certificate, hostnames aside. */
async function verifiedBy(ca: string, cert: string, key: string): Promise<string> {
  const server = createServer({ cert, key }, (socket) => socket.end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const options = { port, host: "127.0.0.1", ca, rejectUnauthorized: false, checkServerIdentity: () => undefined };
  const socket = connect(options);
  await once(socket, "secureConnect");
  const found = socket.authorized ? "authorized" : String(socket.authorizationError);
  socket.destroy();
  server.close();
  return found;
}
