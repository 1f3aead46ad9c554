import type { DescMethod } from "@bufbuild/protobuf";
import { toBinary, toJson } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { DiagnosticsAPI } from "../../proto/gen/penstock/admin/v1/explain_pb.ts";
import { HealthAPI } from "../../proto/gen/penstock/admin/v1/health_pb.ts";
import { NodesAPI } from "../../proto/gen/penstock/admin/v1/nodes_pb.ts";
import { QuarantinesAPI } from "../../proto/gen/penstock/admin/v1/quarantines_pb.ts";
import { RolloutsAPI } from "../../proto/gen/penstock/admin/v1/rollouts_pb.ts";
import { TrafficAPI } from "../../proto/gen/penstock/admin/v1/traffic_pb.ts";

/** What each face that shows something of nodes answered, whole: a message as JSON, a text, or an error. */
export type Shown = Readonly<Record<string, unknown>>;

const upstream = "u";

const unary: readonly (readonly [DescMethod, object])[] = [
  [NodesAPI.method.listNodes, {}],
  [NodesAPI.method.listNodeRefusals, {}],
  [HealthAPI.method.getUpstreamHealth, { upstream }],
  [TrafficAPI.method.getTraffic, { byNode: true }],
  [QuarantinesAPI.method.listQuarantines, {}],
  [RolloutsAPI.method.getRollout, {}],
  [DiagnosticsAPI.method.explain, {}],
];

/** Of these, the first message. */
const watches: readonly (readonly [DescMethod, object])[] = [
  [NodesAPI.method.watchNodes, {}],
  [HealthAPI.method.watchUpstreamHealth, { upstream }],
  [TrafficAPI.method.watchTraffic, { upstream, byNode: true }],
  [RolloutsAPI.method.watchRollout, {}],
];

const paths: readonly string[] = [
  "/clustering/data-planes",
  "/clustering/status",
  `/upstreams/${upstream}/health`,
  `/upstreams/${upstream}/health?balancer_health=1`,
  `/upstreams/${upstream}/traffic?by_node=true`,
  "/node-refusals",
  "/quarantines",
  "/rollout",
  "/explain",
  "/metrics",
];

/** Asks every face of a control plane for what it shows of nodes, and of an upstream that is called "u". */
export async function askEveryFace(adminUrl: string): Promise<Shown> {
  const sessions = new Http2SessionManager(adminUrl);
  const transports: Readonly<Record<string, Transport>> = {
    grpc: createGrpcTransport({ baseUrl: adminUrl, sessionManager: sessions }),
    binary: createConnectTransport({ baseUrl: adminUrl, httpVersion: "1.1", useBinaryFormat: true }),
    json: createConnectTransport({ baseUrl: adminUrl, httpVersion: "1.1", useBinaryFormat: false }),
  };
  const shown: Record<string, unknown> = {};
  const note = async (face: string, ask: () => Promise<unknown>) => {
    shown[face] = await ask().catch((error: unknown) => error);
  };
  try {
    for (const [name, transport] of Object.entries(transports)) {
      for (const [method, request] of unary)
        await note(`${name} ${method.name}`, () => answerOf(transport, method, request));
      for (const [method, request] of watches)
        await note(`${name} ${method.name}`, () => firstOf(transport, method, request));
    }
    for (const path of paths) await note(`GET ${path}`, () => textOf(adminUrl, path));
  } finally {
    sessions.abort();
  }
  return shown;
}

type AnyClient = Record<string, (request: object, options?: object) => unknown>;

async function answerOf(transport: Transport, method: DescMethod, request: object): Promise<unknown> {
  const client = createClient(method.parent, transport) as unknown as AnyClient;
  return written(method, await client[method.localName]!(request));
}

async function firstOf(transport: Transport, method: DescMethod, request: object): Promise<unknown> {
  const client = createClient(method.parent, transport) as unknown as AnyClient;
  const enough = new AbortController();
  try {
    const answers = client[method.localName]!(request, { signal: enough.signal }) as AsyncIterable<unknown>;
    for await (const answer of answers) return written(method, answer);
    throw new Error("the watch ended by itself");
  } finally {
    enough.abort();
  }
}

/** In both forms, as a client does who passes it on. */
function written(method: DescMethod, answer: unknown): unknown {
  toBinary(method.output, answer as never);
  return toJson(method.output, answer as never, { alwaysEmitImplicit: true });
}

async function textOf(adminUrl: string, path: string): Promise<string> {
  const reply = await fetch(adminUrl + path);
  const text = await reply.text();
  if (reply.status !== 200) throw new Error(`${reply.status} ${text}`);
  return text;
}
