import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { ConnectRequestSchema, type ConnectResponse, SyncAPI } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { Clock } from "./clock.ts";
import { readControlMessage } from "./read-control-message.ts";
import type { SyncAccess } from "./sync-access.ts";

export type NodeMessage = MessageInitShape<typeof ConnectRequestSchema>["message"];
export type ControlMessage = ConnectResponse["message"];

export interface SyncStreamOptions {
  /** host:port. */
  readonly address: string;
  /** Default: a plain connection. */
  readonly access?: SyncAccess;
  readonly clock: Clock;
  readonly timing: StreamTiming;
  /** Of one message; a larger one ends the stream. */
  readonly messageMaxBytes: number;
  /** In one message; one with more ends the stream. */
  readonly entityMaxCount: number;
  /** The control plane has answered; called once. */
  readonly onOpen: () => void;
  readonly onMessage: (message: ControlMessage) => void;
  /** Called once, whatever ended the stream. */
  readonly onClose: (end: StreamEnd) => void;
}

export interface StreamEnd {
  /** For people. */
  readonly reason: string;
  /** The control plane has no room and asks not to be asked again before this; 0 when it said nothing of the kind. */
  readonly retryAfterMs: number;
  /** Nothing at all was heard within the time to connect. Default: something was, or the connection broke. */
  readonly isUnanswered?: boolean;
}

/** A stream to a control plane, as the sync client uses it. */
export interface NodeStream {
  /** Sends a message; on a closed stream it is lost. */
  send(message: NodeMessage): void;
  /** Whether what was sent is still on its way out: more of what only says "alive" would pile up. */
  readonly isBacklogged: boolean;
  close(): void;
}

export interface StreamTiming {
  /** From the start until the control plane's first sign of life. */
  readonly connectTimeoutMs: number;
  /** A stream on which nothing came for this long is given up. */
  readonly silenceMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

/**
 * Bytes of a snapshot that may be under way. Signs of life wait behind them: over 10 KB/s for 6 s, and a stream on which
 * they come too late is given up, however much comes. Over 100 ms it still is 640 KB/s.
 */
const windowBytes = 64 * 1024;

/**
 * A node answers what it is asked, and nacks what it cannot take: who asks on and reads nothing would have it keep all of
 * that. Beyond this its stream is ended. A control plane asks 100 questions at a time, whose answers come to 79 MB at most.
 */
const unsentMaxBytes = 128 * 1024 * 1024;
const messageOwnBytes = 512;

const RETRY_AFTER_TRAILER = "grpc-retry-pushback-ms";

const CONNECT_PATH = `/${SyncAPI.typeName}/${SyncAPI.method.connect.name}`;

/**
 * One stream to one control plane, over a connection of its own. It never reconnects: that is the sync client's
 * business, which knows other addresses.
 */
export class SyncStream implements NodeStream {
  readonly #options: SyncStreamOptions;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Uint8Array, ConnectResponse>;
  /** Of messages that wait to be taken by the connection, with what each takes itself. */
  #unsentBytes = 0;
  #isOpen = false;
  #isClosed = false;
  #stopTimer: () => void;

  /** Errors: throws when the address is not one, or when this node has nothing to show. */
  constructor(options: SyncStreamOptions) {
    const { address, clock, timing } = options;
    this.#options = options;
    this.#client = new Client(address, ...channelTo(options));
    this.#call = this.#client.makeBidiStreamRequest(CONNECT_PATH, asBuffer, (bytes) => deserialize(bytes, options));
    this.#stopTimer = clock.after(timing.connectTimeoutMs, () => this.#unanswered());
    this.#call.on("metadata", () => this.#heard());
    this.#call.on("data", (response: ConnectResponse) => {
      this.#heard();
      if (!this.#isClosed) options.onMessage(response.message);
    });
    this.#call.on("error", (error: ServiceError) => this.#end(error.details || error.message, retryAfterMs(error)));
    this.#call.on("end", () => this.#end("the control plane ended the stream"));
  }

  send(message: NodeMessage): void {
    if (this.#isClosed) return;
    let bytes: Uint8Array;
    try {
      bytes = toBinary(ConnectRequestSchema, create(ConnectRequestSchema, { message }));
    } catch (error) {
      // Sent by timers, too: what cannot be written costs the stream.
      setImmediate(() => this.#end(`a message could not be written: ${(error as Error).message}`));
      return;
    }
    const unsentBytes = bytes.length + messageOwnBytes;
    this.#unsentBytes += unsentBytes;
    this.#call.write(bytes, () => {
      this.#unsentBytes -= unsentBytes;
    });
    // Not now: whoever sends need not expect to have no stream afterwards.
    if (this.#unsentBytes > unsentMaxBytes) setImmediate(() => this.#end("the control plane reads nothing"));
  }

  get isBacklogged(): boolean {
    return this.#call.writableLength > 0;
  }

  close(): void {
    this.#end("closed by this node");
  }

  /** Anything from the control plane proves it alive for a while. */
  #heard(): void {
    if (this.#isClosed) return;
    const { clock, timing, onOpen } = this.#options;
    this.#stopTimer();
    this.#stopTimer = clock.after(timing.silenceMs, () => this.#end("the control plane fell silent"));
    if (this.#isOpen) return;
    this.#isOpen = true;
    onOpen();
  }

  #unanswered(): void {
    this.#end("no answer within the connect timeout", 0, true);
  }

  #end(reason: string, retryAfterMs = 0, isUnanswered = false): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stopTimer();
    this.#call.cancel();
    this.#client.close();
    this.#options.onClose({ reason, retryAfterMs, isUnanswered });
  }
}

/** What the control plane says in the trailer of gRPC's retry design (gRFC A6). */
function retryAfterMs({ metadata }: ServiceError): number {
  const ms = Number(metadata?.get(RETRY_AFTER_TRAILER)[0] ?? 0);
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

function channelTo(options: SyncStreamOptions): [ChannelCredentials, Record<string, string | number>] {
  const access = options.access?.access(options.address);
  if (access?.ok === false) throw new Error(access.problem);
  const channel = access?.credentials ?? credentials.createInsecure();
  return [channel, { ...channelOptions(options), ...access?.channelOptions }];
}

function channelOptions({ timing, messageMaxBytes }: SyncStreamOptions) {
  return {
    "grpc.keepalive_time_ms": timing.keepaliveMs,
    "grpc.keepalive_timeout_ms": timing.keepaliveTimeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_receive_message_length": messageMaxBytes,
    // A fresh connection for each stream, free of what grpc-js remembers of failed ones (it waits up to 120 s).
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    // The sync stream is not web traffic: a proxy from the environment is not meant for it.
    "grpc.enable_http_proxy": 0,
    "grpc.enable_channelz": 0,
    "grpc-node.flow_control_window": windowBytes,
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** From a plain view, so that fields of type bytes are Uint8Arrays as the generated types say, not Buffers. */
function deserialize(bytes: Buffer, { entityMaxCount }: SyncStreamOptions): ConnectResponse {
  return readControlMessage(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), entityMaxCount);
}
