import { Metadata, type status } from "@grpc/grpc-js";
import type { NodeLabels } from "../resource/node-selector.ts";
import type { NodeCall } from "./snapshot-sender.ts";

/** Why somebody is not let in, or not any longer. */
export interface GateRefusal {
  readonly code: status;
  /** One sentence, for whoever is refused. */
  readonly cause: string;
}

/** Who may have a stream, where nodes show certificates. */
export interface StreamGate {
  /** Judges a stream before anything is read of it; null lets it in. */
  connect(call: NodeCall): GateRefusal | null;
  /**
   * Judges what a stream says who it is; null lets it in.
   * @param end ends the stream, when what let it in holds no longer
   */
  hello(call: NodeCall, nodeId: string, end: (refusal: GateRefusal) => void): GateRefusal | null;
  /** The labels by which a node gets what it gets; the same object for as long as they are the same. */
  labelsOf(nodeId: string): NodeLabels;
  /** Takes note of somebody who was refused for another reason than the gate's. */
  refused(call: NodeCall, nodeId: string, refusal: GateRefusal): void;
  /** A stream that was let in has ended, however that came. */
  closed(call: NodeCall): void;
}

/** Ends a stream that nothing has been done with. */
export function refuseStream(call: NodeCall, { code, cause }: GateRefusal): void {
  // What it says and how it ends is of no interest any more, and without listeners an error would be thrown.
  call.on("error", () => {});
  call.on("data", () => {});
  call.emit("error", { code, details: cause, metadata: new Metadata() });
}

/** A call as far as it tells who makes it. */
export type PeerCall = Pick<NodeCall, "getPeer" | "getAuthContext">;
