import { EventEmitter } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Metadata } from "@grpc/grpc-js";
import type { NodeCall } from "../../control-plane/sync/snapshot-sender.ts";
import type { ControlMessage, NodeMessage, NodeStream, SyncStreamOptions } from "../../data-plane/sync/sync-stream.ts";
import { ConnectRequestSchema, ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { Random, SimulatedProcess, SimulatedTime } from "./simulated-time.ts";

/** Where a stream leads, if there is somebody. */
export interface SimulatedAddressee {
  readonly process: SimulatedProcess;
  connect(call: NodeCall): void;
}

export interface SimulatedStreamOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  /** The node that opens it. */
  readonly node: SimulatedProcess;
  readonly client: SyncStreamOptions;
  /** Asked when the stream's first packet arrives; null: nobody answers there. */
  readonly addressee: () => SimulatedAddressee | null;
  /** A message on its way from the node. */
  readonly onSent: (message: NodeMessage) => void;
}

/** One direction: messages arrive in order, each a while after it was sent. */
class Direction {
  readonly #time: SimulatedTime;
  readonly #random: Random;
  #lastAtMs = 0;
  #isCut = false;

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  /** What is under way vanishes, and so does all that follows. */
  cut(): void {
    this.#isCut = true;
  }

  /** Nothing arrives for so long. */
  stall(ms: number): void {
    this.#lastAtMs = Math.max(this.#lastAtMs, this.#time.nowMs + ms);
  }

  carry(arrive: () => void): void {
    if (this.#isCut) return;
    const delayMs = 1 + (this.#random() < 0.1 ? 400 : 20) * this.#random();
    this.#lastAtMs = Math.max(this.#lastAtMs, this.#time.nowMs + delayMs);
    this.#time.at(this.#lastAtMs, () => (this.#isCut ? undefined : arrive()));
  }
}

/**
 * A stream between the sync client of a node and the hub of a control plane, in the place of gRPC: it is in order, and
 * it breaks. When it does, either end notices when it does, what was under way vanishes or not, and until the control
 * plane has noticed, late messages of the old stream still arrive there, whatever the node has opened meanwhile.
 */
export class SimulatedStream implements NodeStream {
  readonly #options: SimulatedStreamOptions;
  readonly #toNode: Direction;
  readonly #toHub: Direction;
  #call: SimulatedCall | null = null;
  #isOpen = false;
  #isClosed = false;
  #stopTimer: () => void;

  constructor(options: SimulatedStreamOptions) {
    const { time, random, client } = options;
    this.#options = options;
    this.#toNode = new Direction(time, random);
    this.#toHub = new Direction(time, random);
    this.#stopTimer = client.clock.after(client.timing.connectTimeoutMs, () => this.#end("no answer", 0, true));
    this.#toHub.carry(() => this.#arrive());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The control plane at the other end; null before the stream has come to one. */
  get hubProcess(): SimulatedProcess | null {
    return this.#call?.addressee.process ?? null;
  }

  readonly isBacklogged = false;

  send(message: NodeMessage): void {
    if (this.#isClosed) return;
    this.#options.onSent(message);
    const bytes = toBinary(ConnectRequestSchema, create(ConnectRequestSchema, { message }));
    this.#toHub.carry(() => this.#call?.receive(fromBinary(ConnectRequestSchema, bytes)));
  }

  close(): void {
    this.#end("closed by this node");
  }

  /** The network breaks the stream. */
  break(): void {
    const { random, time } = this.#options;
    if (random() < 0.5) this.#toNode.cut();
    if (random() < 0.5) this.#toHub.cut();
    const noticeMs = () => (random() < 0.5 ? 10 : 3_000) * random();
    time.after(noticeMs(), () => this.#end("broken"));
    time.after(noticeMs(), () => this.#hubNotices());
  }

  /** Neither end hears anything for a while. */
  stall(ms: number): void {
    this.#toNode.stall(ms);
    this.#toHub.stall(ms);
  }

  /** The process at one end is gone; the kernel of its machine tells the other. */
  processGone(end: "node" | "hub"): void {
    if (end === "node") {
      this.#isClosed = true;
      this.#stopTimer();
      this.#hubNoticesSoon();
      return;
    }
    this.#toHub.cut();
    this.#toNode.cut();
    this.#options.time.after(50 * this.#options.random(), () => this.#end("reset by peer"));
  }

  #arrive(): void {
    const addressee = this.#options.addressee();
    if (addressee === null) {
      this.#toNode.carry(() => this.#end("connection refused"));
      return;
    }
    this.#call = new SimulatedCall(addressee, this.#options, this.#toNode, {
      message: (bytes) => this.#receive(bytes),
      metadata: () => this.#heard(),
      end: (reason, retryAfterMs) => this.#end(reason, retryAfterMs),
    });
    addressee.connect(this.#call as unknown as NodeCall);
  }

  #receive(bytes: Uint8Array): void {
    this.#heard();
    if (!this.#isClosed) this.#options.client.onMessage(fromBinary(ConnectResponseSchema, bytes).message);
  }

  /** As the real stream does. */
  #heard(): void {
    if (this.#isClosed) return;
    const { clock, timing, onOpen } = this.#options.client;
    this.#stopTimer();
    this.#stopTimer = clock.after(timing.silenceMs, () => this.#end("the control plane fell silent"));
    if (this.#isOpen) return;
    this.#isOpen = true;
    onOpen();
  }

  #end(reason: string, retryAfterMs = 0, isUnanswered = false): void {
    if (this.#isClosed || !this.#options.node.isAlive) return;
    this.#isClosed = true;
    this.#stopTimer();
    this.#hubNoticesSoon();
    this.#options.client.onClose({ reason, retryAfterMs, isUnanswered });
  }

  #hubNoticesSoon(): void {
    this.#options.time.after(this.#options.random() * 500, () => this.#hubNotices());
  }

  #hubNotices(): void {
    this.#toHub.cut();
    if (this.#call?.addressee.process.isAlive) this.#call.emit("cancelled");
  }
}

interface NodeEnd {
  message(bytes: Uint8Array): void;
  metadata(): void;
  end(reason: string, retryAfterMs: number): void;
}

/** The control plane's end, as far as a session uses it. */
class SimulatedCall extends EventEmitter {
  readonly addressee: SimulatedAddressee;
  readonly #options: SimulatedStreamOptions;
  readonly #toNode: Direction;
  readonly #nodeEnd: NodeEnd;
  readonly writableLength = 0;
  /** While it is paused. */
  #unread: unknown[] | null = null;

  constructor(addressee: SimulatedAddressee, options: SimulatedStreamOptions, toNode: Direction, nodeEnd: NodeEnd) {
    super();
    this.addressee = addressee;
    this.#options = options;
    this.#toNode = toNode;
    this.#nodeEnd = nodeEnd;
    this.on("error", ({ details, metadata }: { details: string; metadata: Metadata }) => {
      const retryAfterMs = Number(metadata.get("grpc-retry-pushback-ms")[0] ?? 0);
      this.#toNode.carry(() => this.#nodeEnd.end(details, retryAfterMs));
    });
  }

  receive(request: unknown): void {
    if (this.#unread !== null) this.#unread.push(request);
    else if (this.addressee.process.isAlive) this.emit("data", request);
  }

  pause(): void {
    this.#unread ??= [];
  }

  resume(): void {
    const unread = this.#unread ?? [];
    this.#unread = null;
    for (const request of unread) this.receive(request);
  }

  getPeer(): string {
    return "simulated";
  }

  sendMetadata(): void {
    this.#toNode.carry(() => this.#nodeEnd.metadata());
  }

  write(bytes: Buffer, handedOver?: () => void): void {
    // Late, at times later than a stall is waited for; a broken stream never says so.
    const { random } = this.#options;
    this.#toNode.carry(() => this.#nodeEnd.message(new Uint8Array(bytes)));
    const delayMs = random() < 0.02 ? 3_000 * random() : 5 * random();
    if (handedOver !== undefined) this.addressee.process.clock.after(delayMs, handedOver);
  }

  end(): void {
    this.#toNode.carry(() => this.#nodeEnd.end("ended", 0));
  }
}

/** A message in a few words. */
export function told(message: NodeMessage | ControlMessage): string {
  const { publication, basePublication, reason } = (message?.value ?? {}) as Record<string, unknown>;
  const of = [publication, basePublication, reason].filter((word) => word !== undefined).join(", ");
  return `${message?.case} ${of}`;
}
