import { createHash } from "node:crypto";
import { untilDone } from "../steps/until-done.ts";
import type { CertificateConfig, ClientAuthenticationConfig, KeyPairConfig, TlsConfig } from "./tls-config.ts";

/**
 * What a config says of TLS on its way to the workers. Certificates are in memory that all threads share: a worker reads
 * one when it is first asked for, and takes up a change of one among 1,000 in a fraction of a millisecond.
 */
export interface EncodedTls {
  readonly pages: readonly CertificatePage[];
  /** JSON of names and of the certificates' indices, in turn: half as much to read as objects. */
  readonly serverNames: string;
  readonly ticketKey: Uint8Array | null;
}

interface CertificatePage {
  /** Says what is in it. */
  readonly digest: string;
  /** JSON of a `CertificatePlace` for each certificate. */
  readonly index: string;
  /** JSON texts of `Secrets`, one behind the other. Never written to again. */
  readonly bytes: SharedArrayBuffer;
}

interface CertificatePlace {
  readonly id: string;
  readonly key: string;
  /** Bytes. */
  readonly at: number;
  readonly length: number;
  readonly asksClients: boolean;
}

type Secrets = Pick<CertificateConfig, "pairs" | "clientAuthentication">;

/** A change of one certificate has so many encoded anew: some 100 KB. */
const pageItemCount = 32;

/** Encodes one config after the other; pages of certificates that are as before are not made again. */
export class TlsEncoder {
  /** Of the config before, by the certificates that are in them. */
  #pages = new Map<string, CertificatePage>();

  encode({ certificates, serverNames, ticketKey }: TlsConfig): EncodedTls {
    const pages = new Map<string, CertificatePage>();
    for (let from = 0; from < certificates.length; from += pageItemCount) {
      const items = certificates.slice(from, from + pageItemCount);
      const name = items.map(({ id, key }) => `${id} ${key}`).join("\n");
      pages.set(name, this.#pages.get(name) ?? encodePage(name, items));
    }
    this.#pages = pages;
    const flat = serverNames.flatMap(({ name, certificateIndex }) => [name, certificateIndex]);
    return { pages: [...pages.values()], serverNames: JSON.stringify(flat), ticketKey };
  }
}

function encodePage(name: string, items: readonly CertificateConfig[]): CertificatePage {
  const texts: Buffer[] = [];
  const places: CertificatePlace[] = [];
  let at = 0;
  for (const { id, key, pairs, clientAuthentication } of items) {
    const text = Buffer.from(JSON.stringify({ pairs, clientAuthentication } satisfies Secrets));
    texts.push(text);
    places.push({ id, key, at, length: text.length, asksClients: clientAuthentication !== null });
    at += text.length;
  }
  const bytes = new SharedArrayBuffer(at);
  for (const [i, text] of texts.entries()) Buffer.from(bytes).set(text, places[i]!.at);
  return { digest: createHash("sha256").update(name).digest("base64"), index: JSON.stringify(places), bytes };
}

/** Decodes one config after the other; the certificates of pages that were there before are the same objects again. */
export class TlsDecoder {
  #pages = new Map<string, readonly CertificateConfig[]>();

  /** What was encoded; certificates are read when they are asked for. Errors: throws when an index is none. */
  decode(encoded: EncodedTls): TlsConfig {
    return untilDone(this.decodeSteps(encoded));
  }

  /** The same in steps of one page. */
  *decodeSteps({ pages, serverNames: flatNames, ticketKey }: EncodedTls): Generator<void, TlsConfig> {
    const decoded = new Map<string, readonly CertificateConfig[]>();
    for (const page of pages) {
      const known = this.#pages.get(page.digest);
      decoded.set(page.digest, known ?? decodePage(page));
      if (known === undefined) yield;
    }
    this.#pages = decoded;
    const flat = JSON.parse(flatNames) as (string | number)[];
    const serverNames = Array.from({ length: flat.length / 2 }, (_, i) => ({
      name: flat[2 * i] as string,
      certificateIndex: flat[2 * i + 1] as number,
    }));
    return { certificates: [...decoded.values()].flat(), serverNames, ticketKey };
  }
}

function decodePage({ index, bytes }: CertificatePage): readonly CertificateConfig[] {
  return (JSON.parse(index) as CertificatePlace[]).map((place) => new EncodedCertificate(place, bytes));
}

class EncodedCertificate implements CertificateConfig {
  readonly id: string;
  readonly key: string;
  readonly #place: CertificatePlace;
  readonly #bytes: SharedArrayBuffer;
  /** Requests ask for it, again and again; undefined before the first. */
  #clientAuthentication: ClientAuthenticationConfig | null | undefined;

  constructor(place: CertificatePlace, bytes: SharedArrayBuffer) {
    this.id = place.id;
    this.key = place.key;
    this.#place = place;
    this.#bytes = bytes;
    if (!place.asksClients) this.#clientAuthentication = null;
  }

  /** Read anew each time: whoever loads them needs them once. */
  get pairs(): readonly KeyPairConfig[] {
    return this.#read().pairs;
  }

  get clientAuthentication(): ClientAuthenticationConfig | null {
    if (this.#clientAuthentication === undefined) this.#clientAuthentication = this.#read().clientAuthentication;
    return this.#clientAuthentication;
  }

  #read(): Secrets {
    const { at, length } = this.#place;
    return JSON.parse(Buffer.from(this.#bytes, at, length).toString()) as Secrets;
  }
}
