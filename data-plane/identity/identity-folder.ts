import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { certificateProblem } from "./certificate-problem.ts";

/** What a node keeps of who it is. */
export interface KeptIdentity {
  /** PEM. */
  readonly certificate: string;
  /** PEM of the authority that issued it, and the control planes'. */
  readonly authority: string;
  /** Of the join token that it came by. */
  readonly tokenId: string;
}

/**
 * The key, the certificate and its authority, in files that only their owner can read. What cannot be read is as good as
 * not there: a join token brings it anew.
 */
export class IdentityFolder {
  readonly #path: string;

  /** @param path made where it is missing and needed */
  constructor(path: string) {
    this.#path = path;
  }

  /** Null where the node has never joined, what it has is damaged, or it joined as another node. */
  load(nodeId: string): KeptIdentity | null {
    try {
      const { certificate, authority, tokenId } = JSON.parse(readFileSync(join(this.#path, "identity.json"), "utf8"));
      if (typeof tokenId !== "string") return null;
      const key = this.key();
      const isOurs = key !== null && certificateProblem(certificate, nodeId, key) === null;
      return isOurs && new X509Certificate(authority).ca ? { certificate, authority, tokenId } : null;
    } catch {
      return null;
    }
  }

  /** Null where there is none. */
  key(): KeyObject | null {
    try {
      const key = createPrivateKey(readFileSync(join(this.#path, "key.pem"), "utf8"));
      return key.asymmetricKeyType === "ec" ? key : null;
    } catch {
      return null;
    }
  }

  /** Makes a key in the place of one that may be there; the certificate of that one is of no use any more. */
  makeKey(): KeyObject {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    rmSync(join(this.#path, "identity.json"), { force: true });
    this.#write("key.pem", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    return privateKey;
  }

  save(identity: KeptIdentity): void {
    this.#write("identity.json", `${JSON.stringify(identity, null, 2)}\n`);
  }

  /** Renamed into place and on disk for good: half an identity is none. */
  #write(name: string, text: string): void {
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const path = join(this.#path, name);
    const file = openSync(`${path}.new`, "w", 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${path}.new`, path);
  }
}
