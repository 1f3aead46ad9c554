import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { JoinToken } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { NodeGate } from "./node-gate.ts";
import type { MadeNodeToken, NodeTokenOrder, NodeTokens } from "./node-tokens.ts";
import type { RefusalEntry, RefusalLog } from "./refusal-log.ts";
import { restoreNode, revokeNode } from "./revoke-node.ts";

/** What is known of a node's certificate. */
export interface NodeCertificateStatus {
  readonly spiffeId: string;
  /** Null for a node that has not connected since the start. */
  readonly expiresAtUnixMs: number | null;
  /** From its join token. */
  readonly labels: Readonly<Record<string, string>>;
  readonly revokedAtUnixMs: number | null;
  readonly revokedReason: string;
}

/** A value, or why this control plane cannot do it as it is set up. */
export type Feasible<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

export interface NodeIdentitiesParts {
  readonly store: Pick<Store, "image" | "transact">;
  readonly clock: Pick<Clock, "unixMs">;
  /** Null where the sync port takes no TLS. */
  readonly gate: Pick<NodeGate, "shown"> | null;
  /** Null where it takes none, or certificates come from elsewhere. */
  readonly tokens: NodeTokens | null;
  readonly refusals: Pick<RefusalLog, "entries">;
}

const noTls = "the sync port takes no TLS: nodes are not asked who they are (--sync-tls on)";
const ownPki = "certificates come from elsewhere (--sync-cert): there are no join tokens";

/** Who the nodes are, as people see and decide it. Errors: what writes rejects when the store does not take it. */
export class NodeIdentities {
  readonly #parts: NodeIdentitiesParts;

  constructor(parts: NodeIdentitiesParts) {
    this.#parts = parts;
  }

  async makeToken(order: NodeTokenOrder): Promise<Feasible<MadeNodeToken>> {
    const { tokens, gate } = this.#parts;
    if (tokens === null) return { ok: false, problem: gate === null ? noTls : ownPki };
    return { ok: true, value: await tokens.make(order) };
  }

  /** The newest first. */
  tokens(): readonly JoinToken[] {
    return this.#parts.tokens?.list() ?? [];
  }

  /** False where there is no such token. */
  async removeToken(id: string): Promise<boolean> {
    return (await this.#parts.tokens?.remove(id)) ?? false;
  }

  /** When the node was revoked: the first time counts. */
  async revoke(nodeId: string, reason: string): Promise<Feasible<number>> {
    const { store, clock, gate } = this.#parts;
    if (gate === null) return { ok: false, problem: noTls };
    return { ok: true, value: await revokeNode(store, clock, nodeId, reason) };
  }

  restore(nodeId: string): Promise<"restored" | "not_revoked" | "certified_here"> {
    return restoreNode(this.#parts.store, nodeId);
  }

  /** Who was refused lately, the newest first. */
  refusals(): readonly RefusalEntry[] {
    return this.#parts.refusals.entries();
  }

  /** Null where the sync port takes no TLS. */
  certificateOf(nodeId: string): NodeCertificateStatus | null {
    const { gate, store } = this.#parts;
    if (gate === null) return null;
    const shown = gate.shown(nodeId);
    const identity = store.image.get("node_identity", nodeId)?.message;
    return {
      spiffeId: shown?.spiffeId ?? "",
      expiresAtUnixMs: shown?.expiresAtMs ?? null,
      labels: identity?.labels ?? {},
      revokedAtUnixMs: identity?.revokedAt === undefined ? null : timestampMs(identity.revokedAt),
      revokedReason: identity?.revokedReason ?? "",
    };
  }
}
