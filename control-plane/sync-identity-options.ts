import { isLoopback } from "./api/loopback-address.ts";
import type { SyncIdentityMode } from "./identity/open-sync-identity.ts";

/** Options of who data planes are, in the order of the help. */
export const syncIdentitySettings = {
  syncTls: {
    flag: "sync-tls",
    form: "auto|on|off",
    defaultText: "auto",
    meaning: "TLS on the sync port, with certificates for data planes; auto: where other machines reach it",
  },
  syncCert: {
    flag: "sync-cert",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "an authority of its own certifies both planes",
    meaning: "PEM of the sync port's certificate, and of those that issued it, where certificates come from elsewhere",
  },
  syncKey: {
    flag: "sync-key",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "as for the certificate",
    meaning: "PEM of its private key",
  },
  syncClientCa: {
    flag: "sync-client-ca",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "as for the certificate",
    meaning: "PEM of the authorities that issue the data planes' certificates",
  },
  nodeCertificateLife: {
    flag: "node-certificate-life",
    form: "HOURS",
    defaultText: "24",
    meaning: "how long a data plane's certificate is valid, 1 to 720; it is renewed at two thirds of that",
  },
} as const;

/** The text of an option, and how to say that it is wrong. */
export interface GivenText {
  readonly text: string;
  refuse(problem: string): void;
}

type Given = { readonly [K in keyof typeof syncIdentitySettings]: GivenText };

const lifeMaxHours = 720;

/** @param syncHost where the sync port is bound */
export function readSyncIdentity(given: Given, syncHost: string): SyncIdentityMode {
  const { syncTls, syncCert, syncKey, syncClientCa } = given;
  if (!["auto", "on", "off"].includes(syncTls.text)) syncTls.refuse("is not one of auto, on, off");
  const files = [syncCert, syncKey, syncClientCa];
  const isOwn = files.some(({ text }) => text !== "");
  if (isOwn)
    for (const one of files)
      if (one.text === "") one.refuse("is missing: --sync-cert, --sync-key and --sync-client-ca go together");
  const certificateLifeMs = readLife(given.nodeCertificateLife);
  if (syncTls.text === "off") {
    if (isOwn) syncTls.refuse("says that the certificates that are given are not used");
    return { type: "off" };
  }
  if (isOwn) {
    return {
      type: "own",
      files: { certFile: syncCert.text, keyFile: syncKey.text, clientCaFile: syncClientCa.text },
    };
  }
  return syncTls.text === "auto" && isLoopback(syncHost) ? { type: "off" } : { type: "built_in", certificateLifeMs };
}

function readLife(given: GivenText): number {
  const hours = /^[0-9]{1,3}$/.test(given.text) ? Number(given.text) : 0;
  if (hours < 1 || hours > lifeMaxHours) given.refuse(`is not a number of hours from 1 to ${lifeMaxHours}`);
  return hours * 3_600_000;
}
