import type { SyncAccess } from "../sync/sync-access.ts";

/** Who this node is to control planes. */
export interface NodeIdentity extends SyncAccess {
  readonly status: IdentityStatus;
  close(): void;
}

export interface IdentityStatus {
  /** Certified by the control plane, or by somebody else. */
  readonly type: "joined" | "own_pki";
  /** Null without a certificate. */
  readonly expiresAtMs: number | null;
  /** Null where it is not renewed from here. */
  readonly renewsAtMs: number | null;
  /** Why it has no certificate, or cannot get the next one; null when all is well. */
  readonly problem: string | null;
}
