import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { ConnectRequest, ConnectResponse } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type EncodedPush, SIGN_OF_LIFE } from "../snapshot/encode-snapshot.ts";
import type { Clock } from "./clock.ts";
import type { SenderSlots } from "./sender-slots.ts";

/** A node's stream; what is written may already be bytes (grpc-definition.ts). */
export type NodeCall = ServerDuplexStream<ConnectRequest, ConnectResponse | Buffer>;

export interface SnapshotSenderOptions {
  readonly call: NodeCall;
  readonly slots: PushSlots;
  readonly clock: Clock;
  /** A reader that takes nothing for this long gives its slot to the next one. */
  readonly stallMs: number;
}

/** Turns at sending: a delta does not wait for those who are sent a whole snapshot. */
export interface PushSlots {
  readonly whole: SenderSlots;
  readonly delta: SenderSlots;
}

/** So much may lie unread in a stream's buffers before sending waits: as much as a node lets be on its way. */
const UNREAD_MAX_BYTES = 64 * 1024;

/** A delta up to this takes no turn: of the largest fleet, all of which read nothing, they are 130 MB. */
const UNQUEUED_DELTA_MAX_BYTES = 16 * 1024;

/**
 * Sends snapshots and deltas down one stream, no faster than the node reads. The stream's own `write` says "full" only after
 * 16 messages, which may be 1 MiB: what counts here is when a message was handed to the connection.
 */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  /** Of which a slot is held. */
  #slots: SenderSlots | null = null;
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends one push, chosen when its turn has come: the newest then, not the newest now.
   * @param choose what to send; null when there is nothing to send any more
   * @param isWanted asked before each message; false once the node has answered without having read all
   */
  async send(choose: () => EncodedPush | null, isWanted: (push: EncodedPush) => boolean): Promise<void> {
    const now = this.#isClosed ? null : choose();
    if (now === null) return;
    const smallDelta = smallDeltaOf(now);
    if (smallDelta !== null) {
      this.#options.call.write(smallDelta);
      return;
    }
    const { slots } = this.#options;
    const lane = now.basePublication === null ? slots.whole : slots.delta;
    await this.#takeSlot(lane);
    try {
      const push = this.#isClosed ? null : choose();
      if (push !== null) await this.#sendMessages(push, isWanted, lane);
    } finally {
      this.#giveSlot();
    }
  }

  /** Lets a send that waits for the reader end; nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async #sendMessages(push: EncodedPush, isWanted: (push: EncodedPush) => boolean, lane: SenderSlots): Promise<void> {
    let unreadBytes = 0;
    let count = 0;
    // A large message behind a slow link takes most of the time after which a node that hears nothing gives a stream up.
    if (push.basePublication !== null) this.#options.call.write(SIGN_OF_LIFE);
    for (const message of push.messages) {
      if (this.#isClosed || !isWanted(push)) return;
      unreadBytes += message.length;
      const isLast = ++count === push.messages.length;
      if (isLast || unreadBytes >= UNREAD_MAX_BYTES) {
        await this.#writeAndWait(message, lane);
        unreadBytes = 0;
      } else {
        this.#options.call.write(message);
      }
    }
  }

  async #writeAndWait(message: Buffer, lane: SenderSlots): Promise<void> {
    const { call, clock, stallMs } = this.#options;
    const stopStallTimer = clock.after(stallMs, () => this.#giveSlot());
    await new Promise<void>((resolve) => {
      // A cancelled call never calls back: close() wakes us then.
      this.#wake = resolve;
      call.write(message, () => resolve());
    });
    stopStallTimer();
    if (this.#slots === null && !this.#isClosed) await this.#takeSlot(lane);
  }

  async #takeSlot(slots: SenderSlots): Promise<void> {
    await slots.acquire();
    this.#slots = slots;
  }

  #giveSlot(): void {
    const slots = this.#slots;
    this.#slots = null;
    slots?.release();
  }
}

function smallDeltaOf({ basePublication, messages }: EncodedPush): Buffer | null {
  if (basePublication === null) return null;
  const [message] = messages;
  return message!.length <= UNQUEUED_DELTA_MAX_BYTES ? message! : null;
}
