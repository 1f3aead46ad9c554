import { createHash, type webcrypto as WebCrypto, webcrypto } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type NodeAuthority, NodeAuthoritySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { Store } from "../store/store.ts";
import { nameConstraints } from "./name-constraints.ts";
import { controlPlaneSpiffeId, nodeSpiffeId, trustDomain } from "./spiffe-id.ts";

/** There is one, so it needs no id of its own; of two that are made at once the first counts. */
const authorityId = "00000000-0000-4000-8000-000000000002";
/** Who the change log names. */
const actor = "node-authority";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;
const authorityLifeMs = 10 * yearMs;
/** Clocks differ. */
const backdateMs = hourMs;

/** A private key with its certificate and those that issued it. */
export interface KeyPair {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  readonly expiresAtMs: number;
}

/**
 * Certifies the nodes and the control plane to each other, and is trusted for nothing else: by its name constraints it
 * can vouch for SPIFFE ids of its own trust domain alone, for no hostname and no address.
 */
export class Authority {
  /** PEM; for nodes and TLS. */
  readonly certificate: string;
  /** SHA-256 of the certificate's DER, hexadecimal: what a join token pins. */
  readonly digest: string;
  readonly #library: Library;
  readonly #issuer: InstanceType<Library["X509Certificate"]>;
  readonly #signingKey: WebCrypto.CryptoKey;

  constructor(library: Library, stored: NodeAuthority, signingKey: WebCrypto.CryptoKey) {
    this.certificate = stored.certificate;
    this.#library = library;
    this.#issuer = new library.X509Certificate(stored.certificate);
    this.#signingKey = signingKey;
    this.digest = createHash("sha256").update(new Uint8Array(this.#issuer.rawData)).digest("hex");
  }

  /**
   * A node's certificate, PEM.
   * @param publicKey SPKI
   */
  async certifyNode(nodeId: string, publicKey: Uint8Array, expiresAtMs: number, nowMs: number): Promise<string> {
    return await this.#certify({
      // With a space in it, so that nothing takes it for a hostname.
      commonName: `penstock node ${nodeId}`,
      uri: nodeSpiffeId(nodeId),
      usage: "clientAuth",
      publicKey,
      nowMs,
      expiresAtMs,
    });
  }

  /** A key for the control plane's side, never stored, with its certificate and the authority's. */
  async certifyControlPlane(nowMs: number, lifeMs: number): Promise<KeyPair> {
    const keys = await makeKeys();
    const spki = await webcrypto.subtle.exportKey("spki", keys.publicKey);
    const expiresAtMs = nowMs + lifeMs;
    const certificate = await this.#certify({
      commonName: "penstock control plane",
      uri: controlPlaneSpiffeId,
      usage: "serverAuth",
      publicKey: new Uint8Array(spki),
      nowMs,
      expiresAtMs,
    });
    return { cert: certificate + this.certificate, key: await privateKeyPem(this.#library, keys), expiresAtMs };
  }

  async #certify(order: CertificateOrder): Promise<string> {
    const x509 = this.#library;
    const { commonName, uri, usage, publicKey, nowMs, expiresAtMs } = order;
    const certificate = await x509.X509CertificateGenerator.create({
      subject: [{ CN: [commonName] }],
      issuer: this.#issuer.subjectName,
      notBefore: new Date(nowMs - backdateMs),
      notAfter: new Date(expiresAtMs),
      publicKey: new x509.PublicKey(new Uint8Array(publicKey)),
      signingKey: this.#signingKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[usage]]),
        new x509.SubjectAlternativeNameExtension([{ type: "url", value: uri }]),
        await x509.AuthorityKeyIdentifierExtension.create(this.#issuer.publicKey),
      ],
    });
    return `${certificate.toString("pem")}\n`;
  }
}

interface CertificateOrder {
  readonly commonName: string;
  readonly uri: string;
  readonly usage: "clientAuth" | "serverAuth";
  /** SPKI. */
  readonly publicKey: Uint8Array;
  readonly nowMs: number;
  readonly expiresAtMs: number;
}

export type Library = typeof import("@peculiar/x509");

/** Cost: 0.3 s and 18 MB, so only a control plane that needs certificates loads it. */
export async function loadLibrary(): Promise<Library> {
  // The library finds its polyfill in place or fails.
  await import("reflect-metadata");
  return await import("@peculiar/x509");
}

/**
 * The authority of a store; made where there is none yet.
 * Errors: rejects when the store does not take it.
 */
export async function openAuthority(store: Pick<Store, "image" | "transact">, nowMs: number): Promise<Authority> {
  const library = await loadLibrary();
  if (storedAuthority(store) === undefined) {
    const made = await makeAuthority(library, nowMs);
    const write = {
      kind: "node_authority" as const,
      id: authorityId,
      operation: "create" as const,
      body: toBinary(NodeAuthoritySchema, made),
      expectedRevision: null,
      uniqueKeys: [],
      references: [],
    };
    const outcome = await store.transact([write], actor);
    if (!outcome.ok && outcome.conflict.type !== "duplicate_id")
      throw new Error(`the nodes' authority could not be stored: ${outcome.conflict.type}`);
  }
  const stored = storedAuthority(store);
  if (stored === undefined) throw new Error("the nodes' authority is not in the store");
  const pkcs8 = library.PemConverter.decodeFirst(stored.key);
  return new Authority(
    library,
    stored,
    await webcrypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, false, ["sign"]),
  );
}

function storedAuthority(store: Pick<Store, "image">): NodeAuthority | undefined {
  return store.image.get("node_authority", authorityId)?.message;
}

async function makeAuthority(library: Library, nowMs: number): Promise<NodeAuthority> {
  const keys = await makeKeys();
  const certificate = await library.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ["Penstock node authority"] }],
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + authorityLifeMs),
    extensions: [
      new library.BasicConstraintsExtension(true, 0, true),
      new library.KeyUsagesExtension(library.KeyUsageFlags.keyCertSign | library.KeyUsageFlags.cRLSign, true),
      new library.Extension("2.5.29.30", true, nameConstraints(trustDomain)),
      await library.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return create(NodeAuthoritySchema, {
    id: authorityId,
    trustDomain,
    certificate: `${certificate.toString("pem")}\n`,
    key: await privateKeyPem(library, keys),
    createdAt: timestampFromMs(nowMs),
  });
}

async function makeKeys(): Promise<WebCrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as WebCrypto.CryptoKeyPair;
}

async function privateKeyPem(library: Library, keys: WebCrypto.CryptoKeyPair): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return `${library.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`;
}
