import { fromBinary } from "@bufbuild/protobuf";
import { decodeResource } from "../../control-plane/store/decode-resource.ts";
import type { StoredResource } from "../../control-plane/store/resource-image.ts";
import type { Change } from "../../control-plane/store/store.ts";
import {
  RolloutMode,
  RolloutOrderSchema,
  RolloutPhase,
  RolloutPolicySchema,
  RolloutSchema,
} from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { isSameHash } from "../../proto/state-hash.ts";

/*
 * What nodes are meant to serve, said once more and plainly, to compare with what they do serve.
 */

export type Content = ReadonlyMap<string, StoredResource>;

/** Where a node is said to be, and which nodes get an upstream; "" for nowhere, and for every node. */
export type Zone = "" | "eu" | "us";

/** In the bodies of upstreams that picky nodes refuse. */
export const POISON = "poison";

export function isPoisoned(body: Uint8Array): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(POISON);
}

/** Of every body ever made: they are asked for again and again. */
const zones = new WeakMap<Uint8Array, Zone>();

/** As its body says it. */
function zoneOf({ body }: StoredResource): Zone {
  let zone = zones.get(body);
  if (zone === undefined) {
    const [selector = ""] = decodeResource("upstream", body).nodeSelector;
    zone = selector.replace("zone=", "") as Zone;
    zones.set(body, zone);
  }
  return zone;
}

/**
 * Of each upstream whose stored version is held back, what its newest quarantine has in its place; and of all, what is
 * for nodes of the zone. Nothing refers to an upstream here, so nothing depends on another.
 */
export function meantContent(content: Content, quarantines: Iterable<StoredResource<"quarantine">>, zone: Zone) {
  const meant = new Map(content);
  for (const { message } of [...quarantines].sort((left, right) => left.revision - right.revision)) {
    for (const { id, refusedRevision, goodBody } of message.entities) {
      if ((content.get(id)?.revision ?? 0) !== Number(refusedRevision)) continue;
      if (goodBody === undefined) meant.delete(id);
      else meant.set(id, { kind: "upstream", id, revision: 0, body: goodBody, message: {} as never });
    }
  }
  for (const [id, upstream] of meant) {
    const of = zoneOf(upstream);
    if (of !== "" && of !== zone) meant.delete(id);
  }
  return meant;
}

/** Which states of the store nodes are to have after a commit, by their revisions. */
export interface Stages {
  readonly isStagedByPolicy: boolean;
  /** What nodes have that are not reached; null: all. */
  readonly baselineAt: number | null;
  /** What reached nodes have; null: nothing is rolled out. */
  readonly candidateAt: number | null;
  /** The last change that is to go stage by stage. */
  readonly lastStagedAt: number;
  /** Of the rollout. */
  readonly number: bigint;
}

export const noStages: Stages = {
  ...{ isStagedByPolicy: false, baselineAt: null, candidateAt: null, lastStagedAt: 0, number: 0n },
};

/** Who a decision reaches: nodes, or every one. */
export interface Reached {
  readonly number: bigint;
  readonly nodeIds: readonly string[] | "all";
}

/** @param revision of the commit, @param before the one before it */
export function stagesAfter(stages: Stages, before: number, revision: number, changes: readonly Change[]): Stages {
  let next = { ...stages };
  for (const { kind, after } of changes)
    if (kind === "rollout_policy") next.isStagedByPolicy = isStaged(fromBinary(RolloutPolicySchema, after!).mode);
  if (changes.some(({ kind }) => kind === "upstream")) {
    const order = changes.find(({ kind }) => kind === "rollout_order");
    const goesByStages =
      order === undefined ? next.isStagedByPolicy : isStaged(fromBinary(RolloutOrderSchema, order.after!).mode);
    if (goesByStages) next = { ...next, baselineAt: next.baselineAt ?? before, lastStagedAt: revision };
  }
  const decision = changes.find(({ kind }) => kind === "rollout");
  if (decision === undefined) return next;
  const { phase, number, baselineRevision, candidateRevision } = fromBinary(RolloutSchema, decision.after!);
  if (phase === RolloutPhase.HALTED) return { ...next, number, candidateAt: null };
  if (phase !== RolloutPhase.DONE)
    return { ...next, number, baselineAt: Number(baselineRevision), candidateAt: Number(candidateRevision) };
  const end = Math.max(Number(candidateRevision), next.baselineAt ?? 0);
  return { ...next, number, candidateAt: null, baselineAt: next.lastStagedAt > end ? end : null };
}

/** null where the commit decides nothing of that. */
export function reachedBy(changes: readonly Change[]): Reached | null {
  const decision = changes.find(({ kind }) => kind === "rollout");
  if (decision === undefined) return null;
  const { number, stage, policy, reachedNodeIds } = fromBinary(RolloutSchema, decision.after!);
  return { number, nodeIds: policy !== undefined && stage >= policy.stages.length ? "all" : reachedNodeIds };
}

function isStaged(mode: RolloutMode): boolean {
  return mode === RolloutMode.STAGED;
}

export function isContent(
  entities: readonly { readonly id: string; readonly body: Uint8Array }[],
  content: Content,
): boolean {
  return (
    content.size === entities.length &&
    entities.every(({ id, body }) => isSameHash(content.get(id)?.body ?? new Uint8Array(), body))
  );
}
