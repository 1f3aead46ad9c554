import type { UnsupportedFeature } from "../snapshot/version-skew.ts";
import type { StoreEpoch } from "../store/store.ts";
import type { ServedState, StopReason } from "./ack-state.ts";
import type { NodeNackStatus, NodeStatus } from "./fleet.ts";
import type { NodeFigures } from "./node-figures.ts";
import { judgeNode } from "./node-state.ts";
import type { NodeFacts } from "./read-hello.ts";

/** What is remembered of a node, also while it is away. Written by its newest session only. */
export interface NodeRecord {
  facts: NodeFacts;
  address: string;
  isConnected: boolean;
  connectedAtUnixMs: number;
  lastSeenAtUnixMs: number;
  served: ServedState | null;
  /** Of what is served, as the node says. */
  epoch: StoreEpoch | null;
  /** Why nothing is pushed; null while it is, and while the node is away. */
  stop: StopReason | null;
  applyDurationMs: number;
  lastNack: NodeNackStatus | null;
  nackCount: number;
  /** null before it has said anything, and while it is away. */
  figures: NodeFigures | null;
}

/** What nodes are measured against. */
export interface FleetView {
  /** The newest publication that is meant for a node. */
  newestFor(nodeId: string): number;
  readonly nowUnixMs: number;
  /** See NodeState. */
  readonly staleAfterMs: number;
  /** Nodes that have been away for longer are forgotten. */
  readonly forgetAfterMs: number;
  /** When the first publication after this one came about; null when there is none. */
  behindSinceUnixMs(publication: number): number | null;
  unsupportedBy(capabilities: readonly string[]): readonly UnsupportedFeature[];
}

/** Every node that was seen since the start, connected or not, up to a limit. */
export class NodeRegistry {
  readonly #maxCount: number;
  /** Those away longest come first among those that are away: a record is put at the end when its stream ends. */
  readonly #records = new Map<string, NodeRecord>();
  #nackCount = 0;

  /** @param maxCount beyond it, nodes that have been away for longest are forgotten */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** Publications that nodes refused, also those that are forgotten. */
  get nackCount(): number {
    return this.#nackCount;
  }

  /** The record of a node whose stream has begun. */
  connect(facts: NodeFacts, address: string, nowUnixMs: number): NodeRecord {
    const record = this.#records.get(facts.id) ?? newRecord(facts, address);
    Object.assign(record, { facts, address, isConnected: true, connectedAtUnixMs: nowUnixMs, figures: null });
    record.lastSeenAtUnixMs = nowUnixMs;
    this.#records.set(facts.id, record);
    this.#forgetOldest();
    return record;
  }

  /** Keeps the record of a node whose stream has ended. */
  disconnect(record: NodeRecord): void {
    Object.assign(record, { isConnected: false, stop: null, figures: null });
    this.#records.delete(record.facts.id);
    this.#records.set(record.facts.id, record);
  }

  refused(record: NodeRecord, nack: NodeNackStatus): void {
    record.lastNack = nack;
    record.nackCount++;
    this.#nackCount++;
  }

  /** Forgets a node that is gone; it is listed anew if it comes back. */
  forget(nodeId: string): "forgotten" | "unknown" | "connected" {
    const record = this.#records.get(nodeId);
    if (record === undefined) return "unknown";
    if (record.isConnected) return "connected";
    this.#records.delete(nodeId);
    return "forgotten";
  }

  /** Every node, ordered by id. */
  statuses(view: FleetView): NodeStatus[] {
    for (const [id, { isConnected, lastSeenAtUnixMs }] of this.#records)
      if (!isConnected && view.nowUnixMs - lastSeenAtUnixMs > view.forgetAfterMs) this.#records.delete(id);
    return [...this.#records.values()]
      .map((record) => nodeStatus(record, view))
      .sort((left, right) => (left.id < right.id ? -1 : 1));
  }

  #forgetOldest(): void {
    if (this.#records.size <= this.#maxCount) return;
    for (const [id, { isConnected }] of this.#records) {
      if (isConnected) continue;
      this.#records.delete(id);
      return;
    }
  }
}

function newRecord(facts: NodeFacts, address: string): NodeRecord {
  return {
    facts,
    address,
    isConnected: true,
    connectedAtUnixMs: 0,
    lastSeenAtUnixMs: 0,
    served: null,
    epoch: null,
    stop: null,
    applyDurationMs: 0,
    lastNack: null,
    nackCount: 0,
    figures: null,
  };
}

function nodeStatus(record: NodeRecord, view: FleetView): NodeStatus {
  const { facts, served, lastNack } = record;
  const { nowUnixMs, staleAfterMs } = view;
  const newestPublication = view.newestFor(facts.id);
  // Numbers of an earlier store say nothing about how far behind the node is.
  const publication = served === null || served.isOfEarlierEpoch ? null : served.upToPublication;
  // What a rollout holds back is not meant for it.
  const isBehind = publication !== null && publication < newestPublication;
  const behindSinceUnixMs = isBehind ? view.behindSinceUnixMs(publication) : null;
  const condition = { ...record, publication, newestPublication, behindSinceUnixMs, refused: lastNack };
  const { state, reason, lagMs } = judgeNode(condition, nowUnixMs, staleAfterMs);
  return {
    ...facts,
    address: record.address,
    isConnected: record.isConnected,
    connectedAtUnixMs: record.connectedAtUnixMs,
    lastSeenAtUnixMs: record.lastSeenAtUnixMs,
    publication: served?.publication ?? 0,
    revision: served?.revision ?? 0,
    stateHash: served?.stateHash ?? new Uint8Array(),
    upToPublication: publication ?? 0,
    lag: Math.max(0, newestPublication - (publication ?? 0)),
    applyDurationMs: record.applyDurationMs,
    lastNack,
    state,
    stateReason: reason,
    lagMs,
    epoch: served === null ? null : record.epoch,
    nackCount: record.nackCount,
    figures: record.figures,
    unsupported: view.unsupportedBy(facts.capabilities),
  };
}
