/** A whole state as it came from the control plane or from disk, its hash already checked. */
export interface ReceivedSnapshot {
  readonly epoch: { readonly counter: number; readonly id: Uint8Array };
  readonly publication: number;
  readonly revision: number;
  /** 32 bytes. */
  readonly stateHash: Uint8Array;
  readonly entities: readonly SnapshotEntity[];
}

export interface SnapshotEntity {
  readonly kind: string;
  readonly id: string;
  /** Encoded config.v1 message, as it came. */
  readonly body: Uint8Array;
}

/** Why a snapshot was refused as a whole. */
export interface Refusal {
  readonly reason: string;
  readonly entityKind: string;
  readonly entityId: string;
  readonly entityName: string;
  readonly field: string;
  readonly message: string;
}

export type ApplyOutcome = { readonly ok: true } | { readonly ok: false; readonly refusal: Refusal };

/** Resolves once every worker serves the snapshot, or none does; the one before then keeps serving. */
export type ApplySnapshot = (snapshot: ReceivedSnapshot) => Promise<ApplyOutcome>;
