import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import {
  type DeltaContent,
  encodeDelta,
  encodeMessage,
  encodeSnapshot,
} from "../../control-plane/snapshot/encode-snapshot.ts";
import { grpcDefinition } from "../../control-plane/sync/grpc-definition.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import {
  type ConnectRequest,
  type ConnectResponseSchema,
  type SnapshotBeginSchema,
  SyncAPI,
} from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type HashedEntity, stateHashOf } from "../../proto/state-hash.ts";
import { MessageQueue } from "./message-queue.ts";

const schemaOf = { upstream: UpstreamSchema, target: TargetSchema, service: ServiceSchema, route: RouteSchema };
type EntityKind = keyof typeof schemaOf;

type NodeMessage = ConnectRequest["message"];
type ControlMessage = MessageInitShape<typeof ConnectResponseSchema>["message"];
type NodeStream = ServerDuplexStream<ConnectRequest, Buffer>;

/** A control plane that does what a test says, also what a real one never would. */
export interface ScriptedSyncServer {
  /** host:port. */
  readonly address: string;
  /** Every stream so far, oldest first. */
  readonly streams: readonly ScriptedStream[];
  /** The next message of a kind from any stream; each is handed out once. Rejects when none comes in time. */
  nextMessage<K extends NonNullable<NodeMessage["case"]>>(
    kind: K,
    timeoutMs?: number,
  ): Promise<Extract<NodeMessage, { case: K }>["value"]>;
  /** Messages of a kind that came and were not taken yet. */
  unreadCount(kind: NonNullable<NodeMessage["case"]>): number;
  /** Sends a whole snapshot on the newest open stream: a correct one, but for what `options` says otherwise. */
  sendSnapshot(entities: readonly HashedEntity[], options: ScriptedSnapshot): void;
  /** Sends a delta on the newest open stream; of the scripted epoch, its revision that of its publication. */
  sendDelta(delta: ScriptedDelta): void;
  /** Sends one message on the newest open stream. */
  send(message: ControlMessage): void;
  /** Cuts every stream; the server goes on taking new ones. */
  dropStreams(): void;
  close(): Promise<void>;
}

export interface ScriptedStream {
  /** Messages of this stream in the order they came. */
  readonly received: readonly NodeMessage[];
  readonly isOpen: boolean;
  /** Takes nothing more of what the node says. */
  stopReading(): void;
  /** Cuts it. */
  drop(): void;
}

export interface ScriptedSnapshot {
  readonly publication: number;
  /** Default: the publication. */
  readonly revision?: number;
  /** Default: counter 1 with an id that is the same for every scripted server. */
  readonly epoch?: { readonly counter: number; readonly id: Uint8Array };
  /** Overrides of what the beginning says, such as a wrong hash or count. */
  readonly begin?: MessageInitShape<typeof SnapshotBeginSchema>;
  readonly chunkMaxBytes?: number;
  /** false leaves out the end. */
  readonly isEnded?: boolean;
}

export interface ScriptedDelta extends Partial<DeltaContent> {
  readonly basePublication: number;
  readonly publication: number;
  readonly stateHash: Uint8Array;
}

export const scriptedEpoch = { counter: 1, id: Buffer.alloc(16, 7) };

/**
 * Starts a scripted control plane on loopback.
 * @param port default: a free one
 * @param heartbeatMs default 5,000, so that a node does not take it for dead; 0 for a silent server
 */
export async function startScriptedSyncServer({ port = 0, heartbeatMs = 5_000 } = {}): Promise<ScriptedSyncServer> {
  const server = new Server({ "grpc.max_receive_message_length": 64 * 1024 * 1024 });
  const queue = new MessageQueue<NodeMessage>();
  const streams: RecordingStream[] = [];
  server.addService(grpcDefinition(SyncAPI), {
    connect: (call: NodeStream) => streams.push(new RecordingStream(call, queue, heartbeatMs)),
  });
  const boundPort = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const newestStream = () => {
    const stream = streams.findLast(({ isOpen }) => isOpen);
    if (stream === undefined) throw new Error("no node has an open stream to the scripted server");
    return stream;
  };
  return {
    address: `127.0.0.1:${boundPort}`,
    streams,
    nextMessage: async (kind, timeoutMs) => {
      const message: NodeMessage = await queue.next(kind, timeoutMs);
      return message.value as never;
    },
    unreadCount: (kind) => queue.unreadCount(kind),
    sendSnapshot: (entities, options) => newestStream().sendSnapshot(entities, options),
    sendDelta: (delta) => {
      const complete = { epoch: scriptedEpoch, revision: delta.publication, upserts: [], deletes: [], ...delta };
      newestStream().send(encodeDelta(complete).messages[0]!);
    },
    send: (message) => newestStream().send(encodeMessage(message)),
    dropStreams: () => {
      for (const stream of streams) stream.drop();
    },
    close: async () => {
      for (const stream of streams) stream.drop();
      server.forceShutdown();
    },
  };
}

/** A resource as it travels. */
export function entity<K extends EntityKind>(
  kind: K,
  message: MessageInitShape<(typeof schemaOf)[K]> & { id: string },
): HashedEntity {
  const schema = schemaOf[kind] as typeof UpstreamSchema;
  return { kind, id: message.id, body: toBinary(schema, create(schema, message as { id: string })) };
}

class RecordingStream implements ScriptedStream {
  readonly received: NodeMessage[] = [];
  readonly #call: NodeStream;
  readonly #heartbeats: NodeJS.Timeout | undefined;
  isOpen = true;
  #publication = 0n;
  #stateHash: Uint8Array = new Uint8Array();

  constructor(call: NodeStream, queue: MessageQueue<NodeMessage>, heartbeatMs: number) {
    this.#call = call;
    call.on("data", ({ message }: ConnectRequest) => {
      this.received.push(message);
      queue.push(message);
    });
    for (const event of ["end", "cancelled", "close", "error"]) call.on(event, () => this.#closed());
    if (heartbeatMs > 0) this.#heartbeats = setInterval(() => this.#beat(), heartbeatMs);
    call.sendMetadata(new Metadata());
  }

  sendSnapshot(entities: readonly HashedEntity[], options: ScriptedSnapshot): void {
    const { publication, revision = publication, epoch = scriptedEpoch } = options;
    const stateHash = stateHashOf(entities);
    const content = { epoch, publication, revision, stateHash, entities };
    const messages = [...encodeSnapshot(content, options.chunkMaxBytes).messages];
    if (options.begin !== undefined) messages[0] = beginning(content, options.begin);
    if (options.isEnded === false) messages.pop();
    for (const message of messages) this.send(message);
    this.#publication = BigInt(publication);
    this.#stateHash = stateHash;
  }

  send(message: Buffer): void {
    this.#call.write(message);
  }

  stopReading(): void {
    this.#call.pause();
  }

  drop(): void {
    if (this.isOpen) this.#call.emit("error", { code: status.UNAVAILABLE, details: "dropped by the script" });
  }

  #beat(): void {
    this.send(
      encodeMessage({ case: "heartbeat", value: { publication: this.#publication, stateHash: this.#stateHash } }),
    );
  }

  #closed(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    clearInterval(this.#heartbeats);
    this.#call.end();
  }
}

function beginning(
  content: Parameters<typeof encodeSnapshot>[0],
  begin: MessageInitShape<typeof SnapshotBeginSchema>,
): Buffer {
  const { epoch, publication, revision, stateHash, entities } = content;
  return encodeMessage({
    case: "snapshotBegin",
    value: {
      epoch: { counter: BigInt(epoch.counter), id: epoch.id },
      publication: BigInt(publication),
      revision: BigInt(revision),
      stateHash,
      entityCount: BigInt(entities.length),
      byteCount: BigInt(entities.reduce((sum, { body }) => sum + body.length, 0)),
      ...begin,
    } as MessageInitShape<typeof SnapshotBeginSchema>,
  });
}
