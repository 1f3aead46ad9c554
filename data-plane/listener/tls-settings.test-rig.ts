import { makeAuthority, makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import { modernCiphers, type TlsSettings } from "../config/tls-settings.ts";

export const authority: TestCertificate = await makeAuthority("Server CA");
export const defaultCertificate: TestCertificate = await makeCertificate({ names: ["localhost"], issuer: authority });

export function tlsSettings(given: Partial<TlsSettings> = {}): TlsSettings {
  return {
    defaultPair: { certPem: defaultCertificate.chainPem, keyPem: defaultCertificate.keyPem },
    minVersion: "TLSv1.2",
    ciphers: modernCiphers,
    handshakeTimeoutMs: 10_000,
    handshakesMax: 100,
    certificatesReadyMax: 10,
    checksServerNames: true,
    readMode: "onread",
    ticketKey: Buffer.alloc(48, 7),
    ...given,
  };
}
