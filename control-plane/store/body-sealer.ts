import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { StoredKind } from "../resource/checked.ts";
import { createSecretKey, isReadByOthers, readSecretKey } from "./secret-key.ts";

/** Kinds whose whole body is sealed wherever it is stored: they hold private keys, or bodies of those that do. */
const secretKinds: ReadonlySet<StoredKind> = new Set<StoredKind>([
  ...(["certificate", "ticket_key", "node_authority", "quarantine"] as const),
]);

/** First byte of a sealed body: AES-256-GCM; then the nonce, the ciphertext and the tag. */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes;

/**
 * Seals the bodies of kinds that hold secrets, between the state in memory and the thread with the database: so neither
 * the file nor its log, nor the history in it, ever holds a private key as it is. Other bodies pass as they are.
 *
 * A random nonce for each body: one key may seal 2^32 of them (NIST SP 800-38D section 8.3). Kind and id are
 * authenticated with the body, so that no sealed body can stand in for another's.
 */
export class BodySealer {
  readonly #path: string;
  #key: Buffer | null = null;

  /** @param path of the key's file */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads the key where there is one; call it with the store's lock held, so that nobody else is about to make it.
   * Errors: throws, with a line for the user, when the file is there and holds no key.
   */
  open(): void {
    this.#key = readSecretKey(this.#path);
  }

  /**
   * Makes the key where there is none. Call it only when nothing sealed was found without one.
   * Returns what is wrong with the file and may be left so.
   */
  ensureKey(): readonly string[] {
    this.#key ??= createSecretKey(this.#path);
    return isReadByOthers(this.#path) ? [`the secret key file ${this.#path} can be read by others than its owner`] : [];
  }

  seal(kind: StoredKind, id: string, body: Uint8Array): Uint8Array {
    // A deletion has no body.
    if (!secretKinds.has(kind) || body.byteLength === 0) return body;
    if (this.#key === null) throw new Error("nothing can be sealed before the key is made");
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce);
    cipher.setAAD(authenticated(kind, id));
    const sealed = Buffer.concat([
      Buffer.from([version]),
      nonce,
      cipher.update(body),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
    // With a buffer of its own: a view would drag all of the pool's to the other thread.
    return new Uint8Array(sealed);
  }

  /** Errors: throws, with a line for the user, when the key is missing or another one. */
  unseal(kind: StoredKind, id: string, sealed: Uint8Array): Uint8Array {
    if (!secretKinds.has(kind)) return sealed;
    if (this.#key === null)
      throw new Error(`the store holds secrets, and the key that they were sealed with is missing: ${this.#path}`);
    if (sealed[0] !== version || sealed.byteLength < headBytes + tagBytes)
      throw new Error(`the sealed ${kind} ${id} is damaged, or was written by a newer version of Penstock`);
    const tagStart = sealed.byteLength - tagBytes;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(1, headBytes));
    decipher.setAAD(authenticated(kind, id));
    decipher.setAuthTag(sealed.subarray(tagStart));
    try {
      const body = [decipher.update(sealed.subarray(headBytes, tagStart)), decipher.final()];
      return new Uint8Array(Buffer.concat(body));
    } catch (cause) {
      const reason = `the key in ${this.#path} is not the one that it was sealed with, or the store is damaged`;
      throw new Error(`the sealed ${kind} ${id} cannot be opened: ${reason}`, { cause });
    }
  }
}

function authenticated(kind: StoredKind, id: string): Buffer {
  return Buffer.from(`${version}\0${kind}\0${id}`);
}
