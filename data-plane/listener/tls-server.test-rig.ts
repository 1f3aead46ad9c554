import { createHash } from "node:crypto";
import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { makeCertificate, type TestCertificate } from "../../test/support/certificates.ts";
import type { CertificateConfig, ClientAuthenticationConfig, TlsConfig } from "../config/tls-config.ts";
import type { TlsSettings } from "../config/tls-settings.ts";
import { MessageReader, type RawMessage, Rig, type RigOptions } from "./proxy-server.test-rig.ts";
import { authority } from "./tls-settings.test-rig.ts";

export function certificateConfig(
  id: string,
  made: TestCertificate | readonly TestCertificate[],
  clientAuthentication: ClientAuthenticationConfig | null = null,
): CertificateConfig {
  const all = [made].flat() as TestCertificate[];
  const pairs = all.map(({ chainPem, keyPem }) => ({ certPem: chainPem, keyPem }));
  const key = createHash("sha256")
    .update(JSON.stringify([pairs, clientAuthentication]))
    .digest("base64");
  return { id, key, pairs, clientAuthentication };
}

/** @param named certificates by the name that they are served for */
export function tlsConfig(named: Readonly<Record<string, CertificateConfig>>, ticketKey?: Uint8Array): TlsConfig {
  const certificates = [...new Set(Object.values(named))];
  const serverNames = Object.entries(named).map(([name, certificate]) => {
    return { name, certificateIndex: certificates.indexOf(certificate) };
  });
  return { certificates, serverNames, ticketKey: ticketKey ?? null };
}

/** A certificate for these names, issued by the rig's authority. */
export async function serverCertificate(...names: string[]): Promise<TestCertificate> {
  return await makeCertificate({ names, issuer: authority });
}

export async function openTlsRig(options: RigOptions, settings: Partial<TlsSettings> = {}): Promise<Rig> {
  return await Rig.open({ ...options, tlsSettings: settings });
}

/** A client that has shaken hands, and verified what it was shown unless told not to. */
export class TlsClient {
  readonly socket: TLSSocket;
  readonly #reader = new MessageReader();
  #wake: () => void = () => {};
  #isClosed = false;
  #error: NodeJS.ErrnoException | null = null;
  readonly #sessions: Buffer[] = [];

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("session", (session: Buffer) => {
      this.#sessions.push(session);
      this.#wake();
    });
    socket.on("data", (bytes: Buffer) => {
      this.#reader.text += bytes.toString("latin1");
      this.#wake();
    });
    socket.on("error", (error) => {
      this.#error = error;
      this.#wake();
    });
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** Rejects when the handshake fails. */
  static async open(rig: Rig, options: ConnectionOptions = {}): Promise<TlsClient> {
    const servername = options.servername ?? "localhost";
    const given = { host: "127.0.0.1", ca: authority.certPem, servername, ...options };
    const socket = connect({ port: rig.server.tlsPort!, ...given });
    const client = new TlsClient(socket);
    await once(socket, "secureConnect");
    return client;
  }

  /** Common name of the certificate that was shown. */
  get shown(): string {
    return String(this.socket.getPeerCertificate().subject?.CN);
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  async answer(hasBody = true): Promise<RawMessage> {
    for (;;) {
      const message = this.#reader.take(hasBody);
      if (message !== null) return message;
      if (this.#isClosed) {
        throw new Error(`closed before an answer: ${this.#error?.code}; received: ${this.#reader.text.slice(0, 300)}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** A session to resume; TLS 1.3 sends it after the handshake. */
  async session(): Promise<Buffer> {
    while (this.#sessions.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    // It is told in the midst of a read: what node:tls is given to write then, it may keep to itself.
    await new Promise((resolve) => setImmediate(resolve));
    return this.#sessions.at(-1)!;
  }

  /** How the connection ended. */
  async closed(): Promise<string> {
    while (!this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#error?.code ?? "end";
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Why a handshake failed, as the client sees it. */
export async function handshakeError(rig: Rig, options: ConnectionOptions): Promise<string> {
  try {
    const client = await TlsClient.open(rig, options);
    client.close();
    return "none";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
