import type { UnsupportedFeature } from "../snapshot/version-skew.ts";
import type { StoreEpoch } from "../store/store.ts";
import type { NodeFigures } from "./node-figures.ts";
import type { NodeState } from "./node-state.ts";

/** What the faces may know of the connected nodes. */
export interface Fleet {
  /**
   * Resolves when the nodes serve content of at least `revision`, or when the wait is over; at once for one that a
   * rollout holds back.
   * "keeping-up": waits only for nodes that acked their last push within 1 s; "all": for every open stream that has
   * not refused the revision. `nodeCount` counts the open streams in both cases; without any, resolves at once.
   */
  waitForRevision(revision: number, wait: AppliedWait): Promise<Applied>;
  /** Every node known, connected or not, ordered by id. Those that are gone are forgotten after a while. */
  nodes(): readonly NodeStatus[];
  /** Takes a node that is gone off the list. */
  forget(nodeId: string): "forgotten" | "unknown" | "connected";
  /** The connected nodes without a capability, by id. */
  whoLacks(capability: string): readonly { readonly id: string; readonly hostname: string }[];
  /** Publications that nodes refused since the start. */
  readonly nackCount: number;
  /** Asks every node with an open stream, or one of them; resolves when all have answered or their time is over. */
  ask(question: NodeQuestion): Promise<readonly NodeAnswer[]>;
}

/** For whom a writer waits, and for how long. */
export interface AppliedWait {
  readonly who: "keeping-up" | "all";
  readonly timeoutMs: number;
  /** The caller has gone: the wait is over. */
  readonly signal?: AbortSignal | undefined;
}

/** A question to the nodes; what its kind means is said in sync.proto. */
export interface NodeQuestion {
  readonly kind: string;
  readonly body: Uint8Array;
  /** Only nodes that serve content of at least this are asked; of the others, that is the problem. */
  readonly revision: number;
  /** How long a node may take. */
  readonly timeoutMs: number;
  /** The one that is asked. Default: all. */
  readonly nodeId?: string;
  /** Nobody waits for the answers any more: those that are missing are given as problems. */
  readonly signal?: AbortSignal | undefined;
}

export interface NodeAnswer {
  readonly nodeId: string;
  readonly hostname: string;
  readonly answered:
    | { readonly ok: true; readonly body: Uint8Array }
    /** Why there is no answer. */
    | { readonly ok: false; readonly problem: string };
}

export interface Applied {
  readonly appliedCount: number;
  readonly nodeCount: number;
  /** Why nobody waited; absent where nodes get it at once. */
  readonly heldBack?: HeldBack;
}

/** Where a change is that goes stage by stage: some nodes get it, or none yet. */
export type HeldBack = "rolling-out" | "waiting";

export interface NodeStatus {
  readonly id: string;
  readonly hostname: string;
  readonly address: string;
  readonly build: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly workerCount: number;
  readonly isConnected: boolean;
  readonly connectedAtUnixMs: number;
  readonly lastSeenAtUnixMs: number;
  /** What the node serves; 0 when nothing. */
  readonly publication: number;
  readonly revision: number;
  /** 32 bytes, or empty when the node serves nothing. */
  readonly stateHash: Uint8Array;
  /** The last publication that is known to have the content that it serves; 0 when it serves nothing of this store. */
  readonly upToPublication: number;
  /** Publications behind the newest that is meant for it. */
  readonly lag: number;
  readonly applyDurationMs: number;
  readonly lastNack: NodeNackStatus | null;
  readonly state: NodeState;
  /** Why it is not in sync, in one sentence; empty when it is. */
  readonly stateReason: string;
  /** For how long there has been something newer than what it serves; null when there is nothing newer. */
  readonly lagMs: number | null;
  /** Of what it serves; null when it serves nothing. */
  readonly epoch: StoreEpoch | null;
  /** Publications that it refused since it is listed. */
  readonly nackCount: number;
  /** How it does, as it said last; null before it did, and while it is away. */
  readonly figures: NodeFigures | null;
  /** What of the configuration its program takes no notice of. */
  readonly unsupported: readonly UnsupportedFeature[];
}

export interface NodeNackStatus {
  readonly publication: number;
  readonly entityKind: string;
  readonly entityId: string;
  readonly entityName: string;
  readonly field: string;
  readonly message: string;
  readonly reason: string;
  readonly keptPublication: number;
  readonly receivedAtUnixMs: number;
}
