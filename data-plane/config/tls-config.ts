/** What workers need to take TLS connections and to make them: plain data, checked before a worker sees it. */
export interface TlsConfig {
  readonly certificates: readonly CertificateConfig[];
  /** Each name once. */
  readonly serverNames: readonly ServerNameConfig[];
  /** 48 bytes: what session tickets are encrypted with on every node; null = the control plane has given none. */
  readonly ticketKey: Uint8Array | null;
}

/** Of a configuration that says nothing of TLS. */
export const noTls: TlsConfig = { certificates: [], serverNames: [], ticketKey: null };

export interface CertificateConfig {
  readonly id: string;
  /** Differs where anything below does. */
  readonly key: string;
  /** One, or two of different key types. */
  readonly pairs: readonly KeyPairConfig[];
  readonly clientAuthentication: ClientAuthenticationConfig | null;
}

/** A certificate chain and its private key, PEM. */
export interface KeyPairConfig {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface ServerNameConfig {
  /** Lower-case: a hostname, one with "*" as its first or last label, or "*". */
  readonly name: string;
  /** Index into certificates. */
  readonly certificateIndex: number;
}

/** What is asked of the clients that connect under a certificate's names. */
export interface ClientAuthenticationConfig {
  /** false: a client may go without, but what it shows must be valid. */
  readonly isRequired: boolean;
  readonly caPems: readonly string[];
  /** Most intermediates between a client's certificate and its root. */
  readonly depthMax: number;
}

/** How a service's targets are spoken to over TLS. */
export interface UpstreamTlsConfig {
  /** Equal where all the rest is equal: connections are shared within it, and only there. */
  readonly key: string;
  readonly isVerified: boolean;
  /** Most intermediates between a target's certificate and its root; null = any number. */
  readonly depthMax: number | null;
  /** The authorities that are trusted; null = the node's own. */
  readonly caPems: readonly string[] | null;
  /** Shown to targets that ask for one. */
  readonly clientPairs: readonly KeyPairConfig[];
}
