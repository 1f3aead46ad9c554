import type { NodeStatus } from "../sync/fleet.ts";
import { FleetCounts, type FleetMark } from "./fleet-counts.ts";
import { type ReachedNode, type StageView, type TrafficShare, unready } from "./judge-stage.ts";
import { LaterTraffic } from "./later-traffic.ts";

/** The rollout as it is watched. */
export interface WatchedStage {
  /** Another one is another rollout, or another stage, or the same after a pause. */
  readonly name: string;
  /** A new one is another rollout. */
  readonly rollout: number;
  readonly candidatePublication: number;
  readonly isWholeFleet: boolean;
  /** Reached by the stages before the last, connected or not. */
  readonly reachedNodeIds: readonly string[];
  isReached(nodeId: string): boolean;
  /** Slow nodes of the whole fleet are waited for so long. */
  readonly applyTimeoutMs: number;
}

/** What is remembered of a node from the moment that it was reached. */
interface ReachedSince {
  /** The candidate's number then: what the node holds from there on is the candidate, whatever its number becomes. */
  readonly publication: number;
  readonly lostWorkers: number;
  readonly before: TrafficShare;
}

/** Nacks that say nothing against a publication: a delta did not fit, or the streams of two stores met. */
const transportReasons: ReadonlySet<string> = new Set([
  "unknown_base",
  "invalid_delta",
  "hash_mismatch",
  "foreign_store",
  "newer_epoch",
  "diverged",
  "ahead",
]);

/**
 * What is seen of the nodes while a stage is watched. It begins anew with the process: then nothing is known of the time
 * before, and the stage is watched from its start.
 */
export class StageWatch {
  readonly #counts = new FleetCounts();
  /** How it stood some time ago, and longer ago: the time before a node is reached lies between. */
  #marks: { readonly older: FleetMark; readonly newer: FleetMark; readonly atMs: number } | null = null;
  #reached = new Map<string, ReachedSince>();
  #rollout = 0;
  #stageName = "";
  #soak: { readonly traffic: LaterTraffic; readonly atMs: number } | null = null;
  #missing: MissingTime | null = null;

  /** Takes note of how the fleet stands. @param beforeMs how far back the time before a rollout goes, at least */
  look(nodes: readonly NodeStatus[], nowMs: number, beforeMs: number): void {
    this.#counts.look(nodes);
    if (this.#marks === null) {
      const mark = this.#counts.mark();
      this.#marks = { older: mark, newer: mark, atMs: nowMs };
    } else if (nowMs - this.#marks.atMs >= beforeMs) {
      this.#marks = { older: this.#marks.newer, newer: this.#counts.mark(), atMs: nowMs };
    }
  }

  /** How a stage stands, after a look. */
  view(stage: WatchedStage, nodes: readonly NodeStatus[], nowMs: number): StageView {
    if (stage.rollout !== this.#rollout) {
      this.#rollout = stage.rollout;
      this.#reached = new Map();
    }
    if (stage.name !== this.#stageName) {
      this.#stageName = stage.name;
      this.#soak = null;
      this.#missing = null;
    }
    const knownIds = nodes.map(({ id }) => id);
    this.#soak?.traffic.look(knownIds);
    const reached = this.#reachedNodes(stage, nodes);
    const isMissing = unready({ reached, isWholeFleet: stage.isWholeFleet }).length > 0;
    this.#missing = addMissing(this.#missing, isMissing, nowMs);
    const { missingMs } = this.#missing;
    // Of a whole fleet some node is always slow, and one that refuses says so.
    const isWatchable = !isMissing || (stage.isWholeFleet && missingMs >= stage.applyTimeoutMs);
    if (!isWatchable || reached.length === 0) this.#soak = null;
    else this.#soak ??= { traffic: new LaterTraffic(this.#counts, knownIds), atMs: nowMs };
    const ids = reached.map(({ id }) => id);
    const others = nodes.filter(({ id }) => !stage.isReached(id)).map(({ id }) => id);
    const soak = this.#soak;
    return {
      isWholeFleet: stage.isWholeFleet,
      reached,
      now: soak?.traffic.of(ids) ?? noTraffic,
      before: ids.map((id) => this.#reached.get(id)!.before).reduce(sum, noTraffic),
      rest: soak?.traffic.of(others) ?? noTraffic,
      missingMs,
      soakedMs: soak === null ? null : nowMs - soak.atMs,
    };
  }

  #reachedNodes(stage: WatchedStage, nodes: readonly NodeStatus[]): readonly ReachedNode[] {
    const known = nodes.filter(({ id }) => stage.isReached(id));
    for (const { id } of known) this.#reach(id, stage);
    const knownIds = new Set(known.map(({ id }) => id));
    // After a restart, those that have not come back yet.
    const unknown = stage.reachedNodeIds.filter((id) => !knownIds.has(id));
    for (const id of unknown) this.#reach(id, stage);
    return [
      ...known.map((node) => this.#reachedNode(node)),
      ...unknown.map((id) => ({
        ...{ id, isConnected: false, servesCandidate: false, hasTold: false, hasEverTold: false },
        ...{ nack: null, lostWorkerCount: 0 },
      })),
    ];
  }

  #reach(id: string, { candidatePublication }: WatchedStage): void {
    if (this.#reached.has(id)) return;
    const before = this.#marks === null ? noTraffic : this.#counts.since(this.#marks.older, [id]);
    const { lostWorkers } = this.#counts.of(id);
    this.#reached.set(id, { publication: candidatePublication, lostWorkers, before });
  }

  #reachedNode(node: NodeStatus): ReachedNode {
    const { id, isConnected, lastNack } = node;
    const since = this.#reached.get(id)!;
    const isAgainst =
      lastNack !== null && lastNack.publication >= since.publication && !transportReasons.has(lastNack.reason);
    return {
      id,
      isConnected,
      servesCandidate: isConnected && node.upToPublication >= since.publication,
      hasTold: this.#soak?.traffic.hasTold(id) ?? false,
      hasEverTold: this.#counts.toldCount(id) > 0,
      nack: isAgainst ? [lastNack.entityKind, lastNack.entityName, lastNack.message].filter(Boolean).join(" ") : null,
      lostWorkerCount: this.#counts.of(id).lostWorkers - since.lostWorkers,
    };
  }
}

/** How long some node was missing in a stage, all times together: one that comes and goes would be waited for for ever. */
interface MissingTime {
  readonly missingMs: number;
  readonly isMissing: boolean;
  readonly atMs: number;
}

/** What one counts that was there at the last look, however long that is ago: it may have gone right before this one. */
const goneMaxMs = 1_000;

function addMissing(before: MissingTime | null, isMissing: boolean, atMs: number): MissingTime {
  const sinceMs = before === null ? 0 : atMs - before.atMs;
  const addedMs = before?.isMissing === true ? sinceMs : Math.min(sinceMs, goneMaxMs);
  return { missingMs: (before?.missingMs ?? 0) + (isMissing ? addedMs : 0), isMissing, atMs };
}

const noTraffic: TrafficShare = { requests: 0, errors: 0 };

function sum(left: TrafficShare, right: TrafficShare): TrafficShare {
  return { requests: left.requests + right.requests, errors: left.errors + right.errors };
}
