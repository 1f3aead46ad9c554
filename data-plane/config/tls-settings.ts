import type { KeyPairConfig } from "./tls-config.ts";

/** What the node itself says of TLS towards clients; its configuration says the rest (tls-config.ts). */
export interface TlsSettings {
  /** Served where the configuration has no certificate. */
  readonly defaultPair: KeyPairConfig;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's names, with ":" between them; those of TLS 1.3 begin with "TLS_". */
  readonly ciphers: string;
  /** From a connection's opening to the end of its handshake. */
  readonly handshakeTimeoutMs: number;
  /** Handshakes under way at once in one worker. */
  readonly handshakesMax: number;
  /** Certificates that a worker keeps ready. */
  readonly certificatesReadyMax: number;
  /** Whether a request's host has to be one that its connection's certificate is served for. */
  readonly checksServerNames: boolean;
  /** How secure sockets are read: into our own memory, or by events where that does not work. */
  readonly readMode: "onread" | "events";
  /** 48 bytes: what tickets are encrypted with where the configuration has no key. The same in all workers. */
  readonly ticketKey: Uint8Array;
}

/**
 * What browsers of the last years, curl, Go, Java 8 and everything with TLS 1.3 can do: forward secrecy and
 * authenticated encryption, AES-128 first, since it is the fastest.
 */
export const modernCiphers: string = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");
