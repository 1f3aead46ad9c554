import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { ConnectRequest, ConnectResponse } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { EncodedSnapshot } from "../snapshot/encode-snapshot.ts";
import type { Clock } from "./clock.ts";
import type { SenderSlots } from "./sender-slots.ts";

/** A node's stream; what is written may already be bytes (grpc-definition.ts). */
export type NodeCall = ServerDuplexStream<ConnectRequest, ConnectResponse | Buffer>;

export interface SnapshotSenderOptions {
  readonly call: NodeCall;
  readonly slots: SenderSlots;
  readonly clock: Clock;
  /** A reader that takes nothing for this long gives its slot to the next one. */
  readonly stallMs: number;
}

/** So much may lie unread in a stream's buffers before sending waits. */
const UNREAD_MAX_BYTES = 256 * 1024;

/**
 * Sends snapshots down one stream, no faster than the node reads. The stream's own `write` says "full" only after
 * 16 messages, which may be 4 MiB: what counts here is when a message was handed to the connection.
 */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  #holdsSlot = false;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends one snapshot, chosen when its turn has come: the newest then, not the newest now.
   * @param choose the snapshot to send; null when there is nothing to send any more
   * @param isWanted asked before each message; false once the node has answered without having read all
   */
  async send(choose: () => EncodedSnapshot | null, isWanted: (snapshot: EncodedSnapshot) => boolean): Promise<void> {
    await this.#takeSlot();
    try {
      const snapshot = this.#isClosed ? null : choose();
      if (snapshot !== null) await this.#sendMessages(snapshot, isWanted);
    } finally {
      this.#giveSlot();
    }
  }

  /** Lets a send that waits for the reader end; nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async #sendMessages(snapshot: EncodedSnapshot, isWanted: (snapshot: EncodedSnapshot) => boolean): Promise<void> {
    let unreadBytes = 0;
    for (const [index, message] of snapshot.messages.entries()) {
      if (this.#isClosed || !isWanted(snapshot)) return;
      unreadBytes += message.length;
      const isLast = index === snapshot.messages.length - 1;
      if (isLast || unreadBytes >= UNREAD_MAX_BYTES) {
        await this.#writeAndWait(message);
        unreadBytes = 0;
      } else {
        this.#options.call.write(message);
      }
    }
  }

  async #writeAndWait(message: Buffer): Promise<void> {
    const { call, clock, stallMs } = this.#options;
    const stopStallTimer = clock.after(stallMs, () => this.#giveSlot());
    await new Promise<void>((resolve) => {
      // A cancelled call never calls back: close() wakes us then.
      this.#wake = resolve;
      call.write(message, () => resolve());
    });
    stopStallTimer();
    if (!this.#holdsSlot && !this.#isClosed) await this.#takeSlot();
  }

  async #takeSlot(): Promise<void> {
    await this.#options.slots.acquire();
    this.#holdsSlot = true;
  }

  #giveSlot(): void {
    if (!this.#holdsSlot) return;
    this.#holdsSlot = false;
    this.#options.slots.release();
  }
}
