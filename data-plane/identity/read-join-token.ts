/** What a join token says; made by the control plane (control-plane/identity/join-token-text.ts). */
export interface JoinToken {
  readonly id: string;
  readonly secret: Uint8Array;
  /** SHA-256 of the DER of the authority that the control plane's certificate must be of, hexadecimal. */
  readonly authorityDigest: string;
  readonly expiresAtMs: number;
}

/** The token in a text; null where there is none. Nothing in it is verified: that is the control plane's. */
export function readJoinToken(text: string): JoinToken | null {
  const payload = /^pst1\.([\w-]{1,4096})$/.exec(text.trim())?.[1];
  if (payload === undefined) return null;
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(payload, "base64url").toString());
  } catch {
    return null;
  }
  if (typeof fields !== "object" || fields === null) return null;
  const { id, secret, ca_sha256: digest, expires } = fields as Record<string, unknown>;
  if (typeof id !== "string" || !/^[0-9a-f-]{36}$/.test(id) || typeof secret !== "string") return null;
  if (typeof digest !== "string" || !/^[0-9a-f]{64}$/.test(digest)) return null;
  const expiresAtMs = typeof expires === "string" ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(expiresAtMs)) return null;
  return { id, secret: new Uint8Array(Buffer.from(secret, "base64url")), authorityDigest: digest, expiresAtMs };
}
