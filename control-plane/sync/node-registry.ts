import type { ServedState } from "./ack-state.ts";
import type { NodeNackStatus, NodeStatus } from "./fleet.ts";
import type { NodeFacts } from "./read-hello.ts";

/** What is remembered of a node, also while it is away. Written by its newest session only. */
export interface NodeRecord {
  facts: NodeFacts;
  address: string;
  isConnected: boolean;
  connectedAtUnixMs: number;
  lastSeenAtUnixMs: number;
  served: ServedState | null;
  applyDurationMs: number;
  lastNack: NodeNackStatus | null;
}

/** Every node that was seen since the start, connected or not, up to a limit. */
export class NodeRegistry {
  readonly #maxCount: number;
  /** Those away longest come first among those that are away: a record is put at the end when its stream ends. */
  readonly #records = new Map<string, NodeRecord>();

  /** @param maxCount beyond it, nodes that have been away for longest are forgotten */
  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  /** The record of a node whose stream has begun. */
  connect(facts: NodeFacts, address: string, nowUnixMs: number): NodeRecord {
    const record = this.#records.get(facts.id) ?? newRecord(facts, address);
    Object.assign(record, { facts, address, isConnected: true, connectedAtUnixMs: nowUnixMs });
    record.lastSeenAtUnixMs = nowUnixMs;
    this.#records.set(facts.id, record);
    this.#forgetOldest();
    return record;
  }

  /** Keeps the record of a node whose stream has ended. */
  disconnect(record: NodeRecord): void {
    record.isConnected = false;
    this.#records.delete(record.facts.id);
    this.#records.set(record.facts.id, record);
  }

  /** Every node, ordered by id. */
  statuses(newestPublication: number): NodeStatus[] {
    return [...this.#records.values()]
      .map((record) => nodeStatus(record, newestPublication))
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
    applyDurationMs: 0,
    lastNack: null,
  };
}

function nodeStatus(record: NodeRecord, newestPublication: number): NodeStatus {
  const { facts, served } = record;
  // Numbers of an earlier store say nothing about how far behind the node is.
  const comparable = served === null || served.isOfEarlierEpoch ? 0 : served.publication;
  return {
    ...facts,
    address: record.address,
    isConnected: record.isConnected,
    connectedAtUnixMs: record.connectedAtUnixMs,
    lastSeenAtUnixMs: record.lastSeenAtUnixMs,
    publication: served?.publication ?? 0,
    revision: served?.revision ?? 0,
    stateHash: served?.stateHash ?? new Uint8Array(),
    lag: Math.max(0, newestPublication - comparable),
    applyDurationMs: record.applyDurationMs,
    lastNack: record.lastNack,
  };
}
