import { once } from "node:events";
import { create, type DescMethod, type DescService, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import type { Code } from "@connectrpc/connect";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { openAdmin } from "../../control-plane/admin/admin.ts";
import { healthReader } from "../../control-plane/admin/upstream-health.ts";
import { trafficReader } from "../../control-plane/admin/upstream-traffic.ts";
import { startAdminListener } from "../../control-plane/api/admin-listener.ts";
import { answer } from "../../control-plane/api/answer.ts";
import { lazyRpcFace } from "../../control-plane/api/grpc/lazy-rpc-face.ts";
import { NodeViews } from "../../control-plane/observation/node-views.ts";
import { TrafficMerges } from "../../control-plane/observation/traffic-merges.ts";
import { TrafficViews } from "../../control-plane/observation/traffic-views.ts";
import { orderedStore } from "../../control-plane/rollout/rollout-order.ts";
import type { Applied, Fleet, NodeAnswer, NodeQuestion, NodeStatus } from "../../control-plane/sync/fleet.ts";
import { grpcDefinition } from "../../control-plane/sync/grpc-definition.ts";
import { openLog } from "../../control-plane/telemetry/log.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
} from "../../proto/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../proto/gen/google/rpc/status_pb.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryStore } from "./memory-store.ts";
import { plainIdentities } from "./plain-identities.ts";
import { plainRollouts } from "./plain-rollouts.ts";

/** A fleet that a test scripts. */
export class FakeFleet implements Fleet {
  nackCount = 0;
  applied: Promise<Applied> = Promise.resolve({ appliedCount: 0, nodeCount: 0 });
  statuses: readonly NodeStatus[] = [];
  readonly waits: Parameters<Fleet["waitForRevision"]>[] = [];

  waitForRevision(...asked: Parameters<Fleet["waitForRevision"]>): Promise<Applied> {
    this.waits.push(asked);
    const { signal } = asked[1];
    const isOver = new Promise<Applied>((resolve) => {
      signal?.addEventListener("abort", () => resolve({ appliedCount: 0, nodeCount: 0 }));
    });
    return Promise.race([this.applied, isOver]);
  }

  nodes(): readonly NodeStatus[] {
    return this.statuses;
  }

  forget(nodeId: string): "forgotten" | "unknown" | "connected" {
    const node = this.statuses.find(({ id }) => id === nodeId);
    if (node === undefined) return "unknown";
    if (node.isConnected) return "connected";
    this.statuses = this.statuses.filter((one) => one !== node);
    return "forgotten";
  }

  whoLacks(): readonly NodeStatus[] {
    return [];
  }

  answers: readonly NodeAnswer[] = [];
  readonly questions: NodeQuestion[] = [];

  async ask(question: NodeQuestion): Promise<readonly NodeAnswer[]> {
    this.questions.push(question);
    return this.answers;
  }
}

/** What a gRPC client learns of a failed call, with its details decoded. */
export interface RpcFailure {
  readonly code: Code;
  readonly message: string;
  readonly details: readonly object[];
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers as a client without generated types would
type Message = any;

/** The faces of the control plane on a real port, over the real admin/ and a store in memory. */
export async function startRpcRig() {
  const store = new MemoryStore();
  const fleet = new FakeFleet();
  const errors: object[] = [];
  const shutdown = new AbortController();
  const log = openLog("error", { write: (line) => void errors.push(JSON.parse(line)) });
  const { rollouts, admin: rolloutAdmin } = plainRollouts(store, fleet, log);
  const admin = openAdmin(orderedStore(store, rollouts), () => 1_717_000_000_123);
  const views = new NodeViews({ clock: new ManualClock(), graceMs: 1_000, viewMaxCount: 1_000, onFull: () => {} });
  const clock = new ManualClock();
  const trafficViews = new TrafficViews({ clock, viewMaxCount: 1_000, onFull: () => {} });
  const health = healthReader(store.image, views);
  const identities = plainIdentities(store);
  const traffic = trafficReader(health, new TrafficMerges({ views: trafficViews, clock }));
  const listener = await startAdminListener({
    listens: [{ host: "127.0.0.1", port: 0 }],
    adminHosts: [],
    rpc: lazyRpcFace({
      admin,
      store,
      fleet,
      health,
      views,
      traffic,
      trafficViews,
      log,
      shutdown: shutdown.signal,
      identities,
      rollouts: rolloutAdmin,
    }),
    rest: (_request, response) => answer(response, 200, { face: "rest" }),
    log,
    limits: { closeGraceMs: 200 },
  });
  const address = listener.addresses[0]!;
  const client = new Client(address, credentials.createInsecure());
  return {
    store,
    fleet,
    views,
    trafficViews,
    admin,
    rollouts,
    address,
    client,
    /** What was logged as errors. */
    errors,
    shutDown: () => shutdown.abort(),
    call: <M extends DescMethod>(method: M, request: MessageInitShape<M["input"]>, options: { deadline?: Date } = {}) =>
      unary(client, method, create(method.input, request), options),
    stream: (method: DescMethod) => openStream(client, method),
    close: async () => {
      client.close();
      await listener.close();
    },
  };
}

export type RpcRig = Awaited<ReturnType<typeof startRpcRig>>;

function unary(client: Client, method: DescMethod, request: object, options: object): Promise<Message> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: unknown) =>
      error ? reject(failureOf(error)) : resolve(response);
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), options, done);
  });
}

/** Streams of either kind; `next` resolves to the next message, or to the failure that ended the stream. */
function openStream(client: Client, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const arrived: Message[] = [];
  let wake = () => {};
  const arrive = (message: Message) => {
    arrived.push(message);
    wake();
  };
  call.on("data", arrive);
  call.on("error", (error: ServiceError) => arrive(failureOf(error)));
  call.on("end", () => arrive("end"));
  return {
    call,
    send: (request: object) => call.write(create(method.input, request as never)),
    end: (request: object) => call.end(create(method.input, request as never)),
    async next(): Promise<Message> {
      while (arrived.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return arrived.shift();
    },
    async cancel() {
      call.cancel();
      if (!call.closed) await once(call, "close").catch(() => {});
    },
  };
}

function definitionOf(method: DescMethod) {
  return grpcDefinition(method.parent as DescService)[method.localName]!;
}

const detailSchemas = [BadRequestSchema, ErrorInfoSchema, PreconditionFailureSchema, ResourceInfoSchema];

function failureOf(error: ServiceError): RpcFailure {
  const [trailer] = error.metadata.get("grpc-status-details-bin");
  const status = trailer === undefined ? undefined : fromBinary(StatusSchema, trailer as Buffer);
  const details = (status?.details ?? []).map(({ typeUrl, value }) => {
    const schema = detailSchemas.find(({ typeName }) => typeUrl.endsWith(`/${typeName}`));
    if (schema === undefined) throw new Error(`unexpected detail ${typeUrl}`);
    return fromBinary(schema, value) as object;
  });
  return { code: error.code as number as Code, message: error.details, details };
}
