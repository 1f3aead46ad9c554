import { timestampMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { type NodeLabels, noLabels } from "../resource/node-selector.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../sync/clock.ts";
import type { NodeCall } from "../sync/snapshot-sender.ts";
import type { GateRefusal, PeerCall, StreamGate } from "../sync/stream-gate.ts";
import { type PeerCertificate, peerCertificate } from "./peer-certificate.ts";
import type { RefusalLog, Refused } from "./refusal-log.ts";

export interface NodeGateOptions {
  readonly store: Pick<Store, "image" | "onCommit">;
  readonly clock: Clock;
  readonly refusals: Pick<RefusalLog, "record">;
  /** Why TLS vouches for nobody on a connection. @param peer `address:port` */
  readonly causeOf: (peer: string) => string;
}

/** The stream of a node that was let in. */
interface OpenStream {
  readonly call: NodeCall;
  readonly peer: PeerCertificate;
  readonly end: (refusal: GateRefusal) => void;
  stopTimer: () => void;
}

/** What is known of the certificate that a node showed last. */
export interface ShownCertificate {
  readonly spiffeId: string;
  readonly expiresAtMs: number;
}

/** Nodes whose last certificate is remembered. */
const shownMax = 10_000;
/** What a timer can hold. */
const timerMaxMs = 2 ** 31 - 1;

/**
 * Lets nodes in by their certificates. A stream ends when what let it in holds no longer: its certificate has expired, also
 * where the node has got another since, which has to show that on another stream; the node is revoked; or another key has
 * joined as the node.
 */
export class NodeGate implements StreamGate {
  readonly #options: NodeGateOptions;
  readonly #peers = new WeakMap<NodeCall, PeerCertificate>();
  readonly #open = new Map<string, OpenStream>();
  /** The one that came last at the end. */
  readonly #shown = new Map<string, ShownCertificate>();
  readonly #stopListening: () => void;

  constructor(options: NodeGateOptions) {
    this.#options = options;
    this.#stopListening = options.store.onCommit(({ changes }) => {
      for (const { kind, id } of changes) if (kind === "node_identity") this.#judgeAgain(id);
    });
  }

  connect(call: NodeCall): GateRefusal | null {
    const judged = this.judgePeer(call);
    if (!judged.ok) return this.#refused("connect", call, judged.nodeId, judged.refusal);
    this.#peers.set(call, judged.peer);
    return null;
  }

  hello(call: NodeCall, nodeId: string, end: (refusal: GateRefusal) => void): GateRefusal | null {
    const peer = this.#peers.get(call);
    if (peer === undefined) throw new Error("a hello of a stream that was not let in");
    const refusal = this.#judge(peer) ?? this.#judgeHello(peer, nodeId);
    if (refusal !== null) return this.#refused("connect", call, nodeId, refusal);
    const open: OpenStream = { call, peer, end, stopTimer: () => {} };
    this.#open.get(nodeId)?.stopTimer();
    this.#open.set(nodeId, open);
    this.#remember(peer);
    this.#watchExpiry(open);
    return null;
  }

  labelsOf(nodeId: string): NodeLabels {
    return this.#options.store.image.get("node_identity", nodeId)?.message.labels ?? noLabels;
  }

  refused(call: NodeCall, nodeId: string, refusal: GateRefusal): void {
    this.#refused("connect", call, nodeId, refusal);
  }

  closed(call: NodeCall): void {
    const nodeId = this.#peers.get(call)?.nodeId ?? "";
    const open = this.#open.get(nodeId);
    if (open?.call === call) this.#forget(open);
  }

  /** Who makes a call, or why nobody is believed to. */
  judgePeer(
    call: PeerCall,
  ):
    | { readonly ok: true; readonly peer: PeerCertificate }
    | { readonly ok: false; readonly nodeId: string; readonly refusal: GateRefusal } {
    const peer = peerCertificate(call);
    if (peer === null || peer === "unnamed") {
      const cause = peer === null ? this.#options.causeOf(call.getPeer()) : "the certificate names no node";
      return { ok: false, nodeId: "", refusal: { code: status.UNAUTHENTICATED, cause } };
    }
    const refusal = this.#judge(peer);
    return refusal === null ? { ok: true, peer } : { ok: false, nodeId: peer.nodeId, refusal };
  }

  /** The certificate of a node's stream, or of its last one. */
  shown(nodeId: string): ShownCertificate | undefined {
    return this.#shown.get(nodeId);
  }

  close(): void {
    this.#stopListening();
    for (const open of this.#open.values()) open.stopTimer();
    this.#open.clear();
  }

  #judge(peer: PeerCertificate): GateRefusal | null {
    const { nodeId } = peer;
    if (this.#options.clock.unixMs() >= peer.expiresAtMs) return expired(peer);
    const identity = this.#options.store.image.get("node_identity", nodeId)?.message;
    if (identity?.revokedAt !== undefined) {
      const { revokedReason: reason } = identity;
      const at = new Date(timestampMs(identity.revokedAt)).toISOString();
      const cause = `node ${nodeId} was revoked at ${at}${reason === "" ? "" : `: ${reason}`}`;
      return { code: status.PERMISSION_DENIED, cause };
    }
    // Empty where certificates come from elsewhere. Nodes that are in no record were certified before a restore.
    if (identity === undefined || identity.keyHash.length === 0 || isSame(identity.keyHash, peer.keyHash)) return null;
    const cause = `another key has joined as node ${nodeId} since: give this node an id of its own, or a token for this id`;
    return { code: status.PERMISSION_DENIED, cause };
  }

  #judgeHello(peer: PeerCertificate, nodeId: string): GateRefusal | null {
    if (peer.nodeId !== nodeId) {
      const cause = `the certificate is of node ${peer.nodeId}, and the hello says ${nodeId}`;
      return { code: status.PERMISSION_DENIED, cause };
    }
    const open = this.#open.get(nodeId);
    // The same key again is the same node, whose older stream is not known to have ended.
    if (open === undefined || isSame(open.peer.keyHash, peer.keyHash)) return null;
    const cause = `node ${nodeId} is connected from ${open.call.getPeer()} with another key: each node needs an id of its own`;
    return { code: status.ALREADY_EXISTS, cause };
  }

  #judgeAgain(nodeId: string): void {
    const open = this.#open.get(nodeId);
    const refusal = open === undefined ? null : this.#judge(open.peer);
    if (open !== undefined && refusal !== null) this.#end(open, refusal);
  }

  #watchExpiry(open: OpenStream): void {
    open.stopTimer();
    const leftMs = open.peer.expiresAtMs - this.#options.clock.unixMs();
    open.stopTimer = this.#options.clock.after(Math.min(Math.max(leftMs, 0), timerMaxMs), () => {
      if (this.#options.clock.unixMs() < open.peer.expiresAtMs) this.#watchExpiry(open);
      else this.#end(open, expired(open.peer));
    });
  }

  #end(open: OpenStream, refusal: GateRefusal): void {
    this.#forget(open);
    this.#refused("connect", open.call, open.peer.nodeId, refusal);
    open.end(refusal);
  }

  #forget({ peer, stopTimer }: OpenStream): void {
    stopTimer();
    this.#open.delete(peer.nodeId);
  }

  #remember({ nodeId, spiffeId, expiresAtMs }: PeerCertificate): void {
    this.#shown.delete(nodeId);
    this.#shown.set(nodeId, { spiffeId, expiresAtMs });
    if (this.#shown.size > shownMax) this.#shown.delete(this.#shown.keys().next().value!);
  }

  #refused(action: Refused["action"], call: NodeCall, nodeId: string, refusal: GateRefusal): GateRefusal {
    const shownId = peerIdOf(this.#peers.get(call)) || nodeId;
    this.#options.refusals.record({ action, peer: call.getPeer(), nodeId: shownId, tokenId: "", cause: refusal.cause });
    return refusal;
  }
}

function expired({ nodeId, expiresAtMs }: PeerCertificate): GateRefusal {
  const at = new Date(expiresAtMs).toISOString();
  return { code: status.UNAUTHENTICATED, cause: `the certificate of node ${nodeId} expired at ${at}` };
}

function peerIdOf(peer: PeerCertificate | undefined): string {
  return peer?.nodeId ?? "";
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
