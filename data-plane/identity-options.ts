import { readOneOf, readText, readUnlessEmpty } from "./option-readers.ts";
import { setting } from "./option-setting.ts";

const textOrNull = readUnlessEmpty(readText);

/** How this node and its control planes know each other, in the order of the help. */
export const IDENTITY_SETTINGS = {
  joinToken: setting({
    flag: "join-token",
    form: "TOKEN",
    defaultText: "",
    defaultMeaning: "none; a node that has joined needs none",
    meaning: "what `penstock node token` printed: gets this node its first certificate; rather in the environment",
    read: textOrNull,
  }),
  joinTokenFile: setting({
    flag: "join-token-file",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "none",
    meaning: "a file with the join token",
    read: textOrNull,
  }),
  syncTls: setting<"auto" | "on" | "off">({
    flag: "sync-tls",
    form: "auto|on|off",
    defaultText: "auto",
    meaning: "TLS to the control plane; auto: with a join token, certificates, or where this node has joined before",
    read: readOneOf(["auto", "on", "off"]),
  }),
  syncCert: setting({
    flag: "sync-cert",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "the control plane certifies this node",
    meaning: "PEM of this node's certificate, where it comes from elsewhere; it says the node's id",
    read: textOrNull,
  }),
  syncKey: setting({
    flag: "sync-key",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "as for the certificate",
    meaning: "PEM of its private key",
    read: textOrNull,
  }),
  syncCa: setting({
    flag: "sync-ca",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "as for the certificate",
    meaning: "PEM of the authorities that issue the control planes' certificates",
    read: textOrNull,
  }),
};
