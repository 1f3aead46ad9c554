import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { grpcDefinition } from "../../control-plane/sync/grpc-definition.ts";
import {
  type ConnectRequest,
  ConnectRequestSchema,
  type ConnectResponse,
  type Entity,
  type Holding,
  type ObservationSchema,
  type SnapshotBegin,
  SyncAPI,
} from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { MessageQueue } from "./message-queue.ts";

const { path, requestSerialize, responseDeserialize } = grpcDefinition(SyncAPI)["connect"]!;

type ControlMessage = ConnectResponse["message"];

/** A snapshot as it came, unchecked. */
export interface SnapshotOnWire {
  readonly begin: SnapshotBegin;
  readonly entities: readonly Entity[];
  readonly chunkCount: number;
}

export interface StreamEnding {
  readonly code: number;
  readonly details: string;
  /** 0 when the control plane did not say when to come again. */
  readonly retryAfterMs: number;
}

/** A node that says what a test says, also what a real one never would. */
export class ScriptedNode {
  readonly #client: Client;
  readonly #call: ClientDuplexStream<ConnectRequest, ConnectResponse>;
  readonly #queue = new MessageQueue<ControlMessage>();
  /** The control plane has taken the stream. */
  readonly answered: Promise<void>;
  readonly #ended = Promise.withResolvers<StreamEnding>();

  /** @param address host:port @param channel default: without TLS */
  constructor(address: string, channel: ChannelCredentials = credentials.createInsecure()) {
    this.#client = new Client(address, channel, { "grpc.use_local_subchannel_pool": 1 });
    this.#call = this.#client.makeBidiStreamRequest<ConnectRequest, ConnectResponse>(
      path,
      requestSerialize,
      responseDeserialize,
    );
    this.answered = new Promise((resolve) => this.#call.once("metadata", () => resolve()));
    this.#call.on("data", ({ message }: ConnectResponse) => this.#queue.push(message));
    this.#call.on("error", ({ code, details, metadata }: ServiceError) => {
      const retryAfterMs = Number(metadata.get("grpc-retry-pushback-ms")[0] ?? 0);
      this.#ended.resolve({ code, details, retryAfterMs });
    });
    this.#call.on("end", () => this.#ended.resolve({ code: 0, details: "", retryAfterMs: 0 }));
  }

  /** How the control plane ended the stream. */
  get ended(): Promise<StreamEnding> {
    return this.#ended.promise;
  }

  send(message: MessageInitShape<typeof ConnectRequestSchema>["message"]): void {
    this.#call.write(create(ConnectRequestSchema, { message }));
  }

  /** Sends what need not be a message. */
  sendBytes(bytes: Buffer): void {
    this.#call.write(bytes as never);
  }

  hello(
    nodeId: string,
    have?: Pick<Holding, "publication" | "stateHash" | "epoch">,
    capabilities: readonly string[] = [],
    instance = "",
  ): void {
    const hostname = `host-of-${nodeId}`;
    this.send({
      case: "hello",
      value: { nodeId, hostname, build: "test", have, workerCount: 2, capabilities: [...capabilities], instance },
    });
  }

  /** Says what it sees of endpoints. @param isStartOfAll whether what was said before is void */
  observe(observations: readonly MessageInitShape<typeof ObservationSchema>[], isStartOfAll = false): void {
    this.send({ case: "observations", value: { observations: [...observations], isStartOfAll } });
  }

  ack({ publication, stateHash }: { publication: bigint; stateHash: Uint8Array }): void {
    this.send({ case: "ack", value: { publication, stateHash } });
  }

  next<K extends NonNullable<ControlMessage["case"]>>(kind: K): Promise<Extract<ControlMessage, { case: K }>> {
    return this.#queue.next(kind);
  }

  /** Messages of a kind that came and were not taken yet; undefined: those that say nothing. */
  unreadCount(kind: ControlMessage["case"]): number {
    return this.#queue.unreadCount(kind);
  }

  /** The next whole snapshot. */
  async nextSnapshot(): Promise<SnapshotOnWire> {
    const begin = (await this.next("snapshotBegin")).value;
    await this.next("snapshotEnd");
    const entities: Entity[] = [];
    const chunkCount = this.unreadCount("snapshotChunk");
    for (let i = 0; i < chunkCount; i++) entities.push(...(await this.next("snapshotChunk")).value.entities);
    return { begin, entities, chunkCount };
  }

  /** The next whole snapshot, acked as a healthy node would. */
  async ackNextSnapshot(): Promise<SnapshotOnWire> {
    const snapshot = await this.nextSnapshot();
    this.ack(snapshot.begin);
    return snapshot;
  }

  /** Stops reading, as a node that is stopped or swamped. */
  pause(): void {
    this.#call.pause();
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
