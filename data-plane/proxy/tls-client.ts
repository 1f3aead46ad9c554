import type { ClientAuthenticationConfig } from "../config/tls-config.ts";
import { authenticationKey } from "../tls/authentication-key.ts";
import type { ServerNames } from "../tls/server-names.ts";
import type { CertificateRefusal, ShownCertificate } from "../tls/shown-certificate.ts";

/** Why a request over TLS is not taken; names of proxy errors. */
export type TlsRefusal = "misdirected" | CertificateRefusal;

/** What TLS says of a connection, and what follows for its requests. */
export class TlsClient {
  /** As the client sent it, lower case, without trailing dot; "" for none. */
  readonly serverName: string;
  /** RFC 9440: the certificate that the client has proven to have, as header lines; "" for none. */
  readonly certificateLines: string;
  /** Why the certificate that the client has shown is not valid; "" when it is, or when there is none. */
  readonly certificateFault: string;
  readonly #certificateRefusal: CertificateRefusal | null;
  readonly #authenticationKey: string;
  #askedHost = "";
  #askedNames: ServerNames | null = null;
  #answer: TlsRefusal | null = null;

  /** @param asked what clients were asked for under this server name @param shown what this one has shown then */
  constructor(serverName: string, asked: ClientAuthenticationConfig | null, shown: ShownCertificate) {
    this.serverName = serverName;
    this.certificateLines = shown.refusal === null ? certificateLines(shown.chain) : "";
    this.certificateFault = shown.reason;
    this.#certificateRefusal = shown.refusal;
    this.#authenticationKey = authenticationKey(asked);
  }

  /**
   * Why a request for this host is not taken on this connection, or null. Its certificate has to be the one that the
   * host is served with: or a client could reach, with a name that it may use, a host that it may not, or one that
   * asks for client certificates. The latter is refused also when names are not checked otherwise.
   *
   * Cost: a comparison, as long as host and configuration stay the same.
   * @param host lower case, without port; "" without one
   */
  refusalOf(host: string, names: ServerNames, checksNames: boolean): TlsRefusal | null {
    if (host !== this.#askedHost || names !== this.#askedNames) {
      this.#askedHost = host;
      this.#askedNames = names;
      this.#answer = this.#refusalOf(host, names, checksNames);
    }
    return this.#answer;
  }

  #refusalOf(host: string, names: ServerNames, checksNames: boolean): TlsRefusal | null {
    const wanted = names.pick(host.endsWith(".") ? host.slice(0, -1) : host);
    if (wanted !== null) {
      const asked = wanted.clientAuthentication;
      // What is asked of clients may have changed since this one has connected: it has to come again.
      if (asked !== null && authenticationKey(asked) !== this.#authenticationKey) return "misdirected";
      if (checksNames && names.pick(this.serverName) !== wanted) return "misdirected";
    }
    return this.#certificateRefusal;
  }
}

function certificateLines([own, ...others]: readonly Buffer[]): string {
  if (own === undefined) return "";
  const chain = others.map((der) => `:${der.toString("base64")}:`).join(", ");
  const line = `Client-Cert: :${own.toString("base64")}:\r\n`;
  return chain === "" ? line : `${line}Client-Cert-Chain: ${chain}\r\n`;
}
