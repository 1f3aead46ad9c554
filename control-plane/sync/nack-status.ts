import type { Nack } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { toldCount, toldText } from "../observation/told-values.ts";
import type { StopReason } from "./ack-state.ts";
import type { NodeNackStatus } from "./fleet.ts";

/** Why nothing is pushed to a node although it did not nack. */
export type NackReason = StopReason | "ahead" | "hash_mismatch";

/** A node's words are kept and shown: no longer than this. */
const TEXT_MAX_LENGTH = 1_000;

/** A nack as it is remembered and shown. */
export function nackStatus(nack: Nack, nowUnixMs: number): NodeNackStatus {
  return {
    publication: toldCount(nack.publication),
    entityKind: clipped(nack.entityKind),
    entityId: clipped(nack.entityId),
    entityName: clipped(nack.entityName),
    field: clipped(nack.field),
    message: clipped(nack.message),
    reason: clipped(nack.reason),
    keptPublication: toldCount(nack.keptPublication),
    receivedAtUnixMs: nowUnixMs,
  };
}

/** A finding of our own, shown in the place of a nack. */
export function stopStatus(
  reason: NackReason,
  at: { readonly newestPublication: number; readonly servedPublication: number; readonly nowUnixMs: number },
): NodeNackStatus {
  return {
    publication: at.newestPublication,
    entityKind: "",
    entityId: "",
    entityName: "",
    field: "",
    message: stopMessage(reason, at.newestPublication, at.servedPublication),
    reason,
    keptPublication: at.servedPublication,
    receivedAtUnixMs: at.nowUnixMs,
  };
}

function stopMessage(reason: NackReason, newest: number, served: number): string {
  switch (reason) {
    case "foreign_store":
      return `the node holds publication ${served} of another store with the same epoch counter`;
    case "newer_epoch":
      return `the node holds publication ${served} of a later incarnation of the store than this one`;
    case "diverged":
      return `the node holds other content under publication ${served} than this control plane`;
    case "ahead":
      return `the node holds publication ${served}, the newest of this control plane is ${newest}`;
    case "hash_mismatch":
      return `the node arrived twice at another state hash for publication ${newest}`;
  }
}

function clipped(text: string): string {
  return text.length > TEXT_MAX_LENGTH ? `${toldText(text, TEXT_MAX_LENGTH)}…` : text;
}
