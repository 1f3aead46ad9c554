/** What a join token says; all of it is in its text, and the secret nowhere else. */
export interface JoinTokenText {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** SHA-256 of the DER of the authority's certificate, hexadecimal: whom the node is to trust. */
  readonly authorityDigest: string;
  readonly expiresAtMs: number;
}

/** The text of a join token: `pst1.` and JSON in base64url, read by data-plane/identity/read-join-token.ts. */
export function joinTokenText({ id, secret, authorityDigest, expiresAtMs }: JoinTokenText): string {
  const fields = {
    id,
    secret: Buffer.from(secret).toString("base64url"),
    ca_sha256: authorityDigest,
    expires: new Date(expiresAtMs).toISOString(),
  };
  return `pst1.${Buffer.from(JSON.stringify(fields)).toString("base64url")}`;
}
