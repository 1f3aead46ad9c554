import type { NodeViews } from "../observation/node-views.ts";
import type { TrafficViews } from "../observation/traffic-views.ts";
import type { Channel } from "../snapshot/channel.ts";
import type { StoreEpoch } from "../store/store.ts";
import type { Log } from "../telemetry/log.ts";
import type { Clock } from "./clock.ts";
import type { NodeNackStatus } from "./fleet.ts";
import type { Admission } from "./hello-admission.ts";
import type { NodeRegistry } from "./node-registry.ts";
import type { NodeSession } from "./node-session.ts";
import type { NodeFacts } from "./read-hello.ts";
import type { NodeCall, PushSlots } from "./snapshot-sender.ts";
import type { GateRefusal, StreamGate } from "./stream-gate.ts";

/** What a session needs of the hub that it belongs to. */
export interface SessionContext {
  readonly epoch: StoreEpoch;
  readonly registry: NodeRegistry;
  readonly slots: PushSlots;
  /** Gets what the node sees of its endpoints. */
  readonly views: NodeViews;
  /** Gets what requests meet there. */
  readonly traffic: TrafficViews;
  readonly clock: Clock;
  /** 0 <= random() < 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly timing: SessionTiming;
  /** Says whether the node is who it says; null where nobody is asked. */
  readonly gate: StreamGate | null;
  /** Where the node's publications come from, at this moment; null before it has arrived. */
  channelOf(nodeId: string): Channel | null;
  /** Asked once for each hello: whether there is room for the node now, or when it is to come again. */
  admitHello(): Admission;
  /** Whether what a stream says who it is may be so; null lets it in. @param end as of StreamGate.hello */
  judgeHello(call: NodeCall, facts: NodeFacts, end: (refusal: GateRefusal) => void): GateRefusal | null;
  /**
   * There is a hello, of a stream that is to be given its turn, in which it is judged and welcomed, once there is a channel
   * for the node; which may be now. Nothing is between the two: a stream that waits takes no other's place.
   */
  onHello(session: NodeSession, nodeId: string, turn: () => void): void;
  /** A hello is accepted; the hub first ends an older session of the same node, so that one alone writes its record. */
  onArrival(session: NodeSession, facts: NodeFacts, call: NodeCall): void;
  /** What the node serves, or whether it is worth waiting for, may have changed. */
  onChange(): void;
  /** The node refused a publication of a channel. */
  onNack(session: NodeSession, nack: NodeNackStatus, channel: Channel): void;
  onClose(session: NodeSession): void;
}

export interface SessionTiming {
  /** A stream without a hello is ended after this. */
  readonly helloTimeoutMs: number;
  readonly heartbeatMs: number;
  /** A node that acks within this keeps up. */
  readonly keepUpMs: number;
  /** A reader that takes nothing for this long lets others send. */
  readonly stallMs: number;
}
