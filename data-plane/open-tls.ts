import { randomBytes } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { TlsSettings } from "./config/tls-settings.ts";
import { probeTlsReadMode } from "./listener/accepted-tls-socket.ts";
import type { DataPlaneOptions } from "./options.ts";
import { StartError } from "./start-error.ts";
import {
  type DefaultCertificate,
  DefaultCertificateError,
  keepDefaultCertificate,
  readDefaultCertificate,
} from "./tls/default-certificate.ts";

/** How a node takes clients over TLS. */
export interface NodeTls {
  readonly settings: TlsSettings;
  readonly defaultExpiresAtMs: number;
}

/**
 * What the options say of TLS; null when no port is to be opened for it.
 * Errors: StartError when the certificate, its key or the cipher suites cannot be used.
 * @param folder where a certificate is kept when none is given
 */
export async function openTls(options: DataPlaneOptions, folder: string): Promise<NodeTls | null> {
  if (options.proxyTlsListen === null) return null;
  const minVersion = `TLSv${options.tlsMinVersion}` as const;
  try {
    createSecureContext({ ciphers: options.tlsCiphers, minVersion, ca: [] });
  } catch (cause) {
    throw new StartError(`--tls-ciphers: ${(cause as Error).message}`, { cause });
  }
  const { pair, expiresAtMs } = await defaultCertificate(options, folder);
  return {
    defaultExpiresAtMs: expiresAtMs,
    settings: {
      defaultPair: pair,
      minVersion,
      ciphers: options.tlsCiphers,
      handshakeTimeoutMs: options.tlsHandshakeTimeoutMs,
      handshakesMax: options.tlsHandshakesMax,
      certificatesReadyMax: options.tlsCertificatesReadyMax,
      checksServerNames: options.sniCheck === "certificate",
      readMode: await probeTlsReadMode(pair),
      ticketKey: randomBytes(48),
    },
  };
}

async function defaultCertificate(options: DataPlaneOptions, folder: string): Promise<DefaultCertificate> {
  const { tlsCertificate, tlsKey } = options;
  if ((tlsCertificate === null) !== (tlsKey === null)) {
    throw new StartError("--tls-certificate and --tls-key go together");
  }
  try {
    if (tlsCertificate === null || tlsKey === null) return await keepDefaultCertificate(folder, Date.now());
    return readDefaultCertificate(tlsCertificate, tlsKey);
  } catch (cause) {
    if (cause instanceof DefaultCertificateError) throw new StartError(cause.message, { cause });
    throw cause;
  }
}
