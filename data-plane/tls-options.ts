import { modernCiphers } from "./config/tls-settings.ts";
import { type Address, readAddress, readOneOf, readText, readUnlessEmpty } from "./option-readers.ts";
import { limit, setting, timeLimit } from "./option-setting.ts";

/** How clients are taken over TLS, and which targets are trusted, in the order of the help. */
export const TLS_SETTINGS = {
  proxyTlsListen: setting<Address | null>({
    flag: "proxy-tls-listen",
    form: "HOST:PORT|off",
    defaultText: "0.0.0.0:8443",
    meaning: "where clients connect with TLS; the default also takes [::]:8443 where there is IPv6",
    read: (text) => (text === "off" ? { ok: true, value: null } : readAddress(text)),
  }),
  tlsCertificate: setting({
    flag: "tls-certificate",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "self-signed, made at the first start and kept in the state folder",
    meaning: "PEM of the certificate, and of those that issued it, for names without one in the configuration",
    read: readUnlessEmpty(readText),
  }),
  tlsKey: setting({
    flag: "tls-key",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "as for the certificate",
    meaning: "PEM of its private key",
    read: readUnlessEmpty(readText),
  }),
  tlsMinVersion: setting<"1.2" | "1.3">({
    flag: "tls-min-version",
    form: "1.2|1.3",
    defaultText: "1.2",
    meaning: "the oldest version of TLS that is spoken with clients",
    read: readOneOf(["1.2", "1.3"]),
  }),
  tlsCiphers: setting({
    flag: "tls-ciphers",
    form: "NAME:NAME:...",
    defaultText: modernCiphers,
    defaultMeaning: "AES-GCM and ChaCha20 with forward secrecy",
    meaning: "cipher suites in OpenSSL's names, best first; those of TLS 1.3 begin with TLS_",
    read: readText,
  }),
  tlsHandshakeTimeoutMs: timeLimit(
    "tls-handshake-timeout",
    "10s",
    "from a connection's opening to its handshake's end",
  ),
  tlsHandshakesMax: limit("tls-handshakes-max", 4_096, 1_000_000, "handshakes under way at once in one worker"),
  tlsCertificatesReadyMax: limit(
    "tls-certificates-ready-max",
    500,
    100_000,
    "certificates that a worker keeps loaded, 40 KB each; loading another one takes about 1 ms",
  ),
  sniCheck: setting<"certificate" | "off">({
    flag: "sni-check",
    form: "certificate|off",
    defaultText: "certificate",
    meaning: "whether a request gets 421 when its host has another certificate than its connection's server name",
    read: readOneOf(["certificate", "off"]),
  }),
  upstreamCaFile: setting({
    flag: "upstream-ca-file",
    form: "FILE",
    defaultText: "",
    defaultMeaning: "the authorities that come with Node",
    meaning: "PEM of the authorities trusted for targets whose service names none",
    read: readUnlessEmpty(readText),
  }),
};
