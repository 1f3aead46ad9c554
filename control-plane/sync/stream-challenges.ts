import { status } from "@grpc/grpc-js";
import { encodeMessage } from "../snapshot/encode-snapshot.ts";
import type { Clock } from "./clock.ts";
import type { NodeSession } from "./node-session.ts";
import type { NodeCall } from "./snapshot-sender.ts";

interface Challenged {
  readonly session: Pick<NodeSession, "end">;
  readonly call: Pick<NodeCall, "on" | "off" | "write">;
  /** Ends the question that is open; null while none is. */
  close: (() => void) | null;
}

/** A node answers at once. */
const answerMs = 2_000;

/**
 * Asks who has a node's stream whether it is still there, when another process of that node was refused for its sake. A
 * machine that lost its power says nothing of that, and TCP's keepalive takes 14 s to notice.
 */
export class StreamChallenges {
  readonly #clock: Clock;
  readonly #streams = new Map<string, Challenged>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(nodeId: string, session: Challenged["session"], call: Challenged["call"]): void {
    // The question to the stream before is answered by this one.
    this.left(nodeId);
    this.#streams.set(nodeId, { session, call, close: null });
  }

  /** The node's stream has ended. */
  left(nodeId: string): void {
    this.#streams.get(nodeId)?.close?.();
    this.#streams.delete(nodeId);
  }

  /** Ends the node's stream unless something comes on it soon. */
  challenge(nodeId: string): void {
    const stream = this.#streams.get(nodeId);
    if (stream === undefined || stream.close !== null) return;
    const { session, call } = stream;
    const close = () => {
      stopTimer();
      call.off("data", close);
      stream.close = null;
    };
    stream.close = close;
    const stopTimer = this.#clock.after(answerMs, () => {
      close();
      session.end(status.UNAVAILABLE, "no answer while another process of the same node wants its place");
    });
    // Whatever comes is a sign of life. That it knows no such question every node says at once (sync.proto).
    call.on("data", close);
    call.write(encodeMessage({ case: "query", value: { id: 0n, kind: "alive", body: new Uint8Array() } }));
  }
}
