import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAdmin } from "../../control-plane/admin/admin.ts";
import type { Admin, ResourceAdmin, Written } from "../../control-plane/admin/resource-admin.ts";
import { healthReader } from "../../control-plane/admin/upstream-health.ts";
import { trafficReader } from "../../control-plane/admin/upstream-traffic.ts";
import { type RestFaceOptions, restFace } from "../../control-plane/api/rest/rest-face.ts";
import { NodeViews } from "../../control-plane/observation/node-views.ts";
import { TrafficMerges } from "../../control-plane/observation/traffic-merges.ts";
import { TrafficViews } from "../../control-plane/observation/traffic-views.ts";
import type { Kind, Problem } from "../../control-plane/resource/checked.ts";
import type { Draft } from "../../control-plane/resource/draft.ts";
import { orderedStore } from "../../control-plane/rollout/rollout-order.ts";
import { openSqliteStore, type SqliteStore } from "../../control-plane/store/sqlite-store.ts";
import type {
  Applied,
  AppliedWait,
  Fleet,
  NodeAnswer,
  NodeQuestion,
  NodeStatus,
} from "../../control-plane/sync/fleet.ts";
import { openLog } from "../../control-plane/telemetry/log.ts";
import { ManualClock } from "./manual-clock.ts";
import { plainIdentities } from "./plain-identities.ts";
import { plainRollouts } from "./plain-rollouts.ts";

/** 2024-05-29, with the milliseconds that only targets print. */
export const rigTimeMs = 1_717_000_000_123;

/** The real admin/, of which a test can script the next answer. */
class ScriptedAdmin {
  /** What the next write answers with, in place of its own answer. */
  nextProblems: readonly Problem[] | null = null;
  /** What the next call throws. */
  nextError: Error | null = null;
  /** Put into the place of each write's own warnings. */
  warnings: Written<unknown>["warnings"] | null = null;
  /** The last draft that a write was given. */
  lastDraft: Draft<unknown> | null = null;
  readonly admin: Admin;

  constructor(real: Admin) {
    this.admin = {
      upstream: this.#scripted(real.upstream),
      target: this.#scripted(real.target),
      service: this.#scripted(real.service),
      route: this.#scripted(real.route),
      certificate: this.#scripted(real.certificate),
      sni: this.#scripted(real.sni),
      ca_certificate: this.#scripted(real.ca_certificate),
      setTargetHealth: (decision) => real.setTargetHealth(decision),
    };
  }

  #scripted<K extends Kind>(real: ResourceAdmin<K>): ResourceAdmin<K> {
    const written = async (draft: Draft<unknown>, write: () => ReturnType<ResourceAdmin<K>["create"]>) => {
      this.lastDraft = draft;
      const scripted = this.#takeScripted();
      if (scripted !== null) return scripted;
      const result = await write();
      if (!result.ok || this.warnings === null) return result;
      return { ...result, value: { ...result.value, warnings: this.warnings } };
    };
    return {
      get: (key, access) => this.#takeScripted() ?? real.get(key, access),
      list: (query) => this.#takeScripted() ?? real.list(query),
      create: (draft, parent) => written(draft, () => real.create(draft, parent)),
      createFor: (referrer, draft) => written(draft, () => real.createFor(referrer, draft)),
      replace: (key, draft) => written(draft, () => real.replace(key, draft)),
      update: (key, draft) => written(draft, () => real.update(key, draft)),
      remove: async (key, etag) => this.#takeScripted() ?? (await real.remove(key, etag)),
    };
  }

  #takeScripted(): { ok: false; problems: readonly Problem[] } | null {
    const { nextError, nextProblems } = this;
    this.nextError = null;
    this.nextProblems = null;
    if (nextError !== null) throw nextError;
    return nextProblems === null ? null : { ok: false, problems: nextProblems };
  }
}

/** A fleet of scripted answers that keeps what it was asked. */
class ScriptedFleet implements Fleet {
  nackCount = 0;
  applied: Applied = { appliedCount: 0, nodeCount: 0 };
  nodeList: readonly NodeStatus[] = [];
  answers: readonly NodeAnswer[] = [];
  readonly questions: NodeQuestion[] = [];
  readonly waits: { revision: number; who: string; timeoutMs: number }[] = [];

  async waitForRevision(revision: number, { who, timeoutMs }: AppliedWait): Promise<Applied> {
    this.waits.push({ revision, who, timeoutMs });
    return this.applied;
  }

  nodes(): readonly NodeStatus[] {
    return this.nodeList;
  }

  forget(nodeId: string): "forgotten" | "unknown" | "connected" {
    const node = this.nodeList.find(({ id }) => id === nodeId);
    if (node === undefined) return "unknown";
    if (node.isConnected) return "connected";
    this.nodeList = this.nodeList.filter((one) => one !== node);
    return "forgotten";
  }

  whoLacks(): readonly NodeStatus[] {
    return [];
  }

  async ask(question: NodeQuestion): Promise<readonly NodeAnswer[]> {
    this.questions.push(question);
    return this.answers;
  }
}

export interface RestReply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers as a client would, without a schema
  readonly json: any;
}

type SendBody = string | Buffer | object;

export interface RestRig {
  readonly admin: ScriptedAdmin;
  readonly fleet: ScriptedFleet;
  /** What the nodes see. */
  readonly views: NodeViews;
  /** What requests meet there. */
  readonly trafficViews: TrafficViews;
  readonly store: SqliteStore;
  readonly port: number;
  /** What was logged as errors. */
  readonly errors: unknown[];
  /** Unix time of the writes to come. */
  nowMs: number;
  /** Sends one request; an object goes as JSON, a text as a form unless `headers` say otherwise. */
  send(method: string, path: string, body?: SendBody, headers?: Record<string, string>): Promise<RestReply>;
  /** POSTs, and fails unless a resource was made. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers as a client would, without a schema
  create(path: string, body: SendBody): Promise<any>;
  close(): Promise<void>;
}

/** The REST face on a real node:http server, over the real admin/ and a store in a folder of its own. */
export async function startRestRig(replaced: Partial<RestFaceOptions> = {}): Promise<RestRig> {
  const folder = mkdtempSync(join(tmpdir(), "penstock-rest-"));
  const store = await openSqliteStore(join(folder, "store.db"));
  const time = { nowMs: rigTimeMs };
  const fleet = new ScriptedFleet();
  const { rollouts, admin: rolloutAdmin } = plainRollouts(store, fleet, openLog("fatal"));
  const admin = new ScriptedAdmin(openAdmin(orderedStore(store, rollouts), () => time.nowMs));
  const errors: unknown[] = [];
  const views = new NodeViews({ clock: new ManualClock(), graceMs: 1_000, viewMaxCount: 1_000, onFull: () => {} });
  const trafficClock = new ManualClock();
  const trafficViews = new TrafficViews({ clock: trafficClock, viewMaxCount: 1_000, onFull: () => {} });
  const health = healthReader(store.image, views);
  const face = restFace({
    admin: admin.admin,
    fleet,
    store,
    health,
    traffic: trafficReader(health, new TrafficMerges({ views: trafficViews, clock: trafficClock })),
    identities: plainIdentities(store),
    rollouts: rolloutAdmin,
    identity: { nodeId: "n1", hostname: "h1", version: "0.1.0", configuration: { database: "sqlite" } },
    clock: { monotonicMs: () => 0, unixMs: () => rigTimeMs },
    log: { error: (...entry: unknown[]) => void errors.push(entry) } as RestFaceOptions["log"],
    ...replaced,
  });
  const server = createServer(face);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    admin,
    fleet,
    views,
    trafficViews,
    store,
    port,
    errors,
    get nowMs() {
      return time.nowMs;
    },
    set nowMs(nowMs) {
      time.nowMs = nowMs;
    },
    send: (method, path, body, headers) => send(port, { method, path, body, headers }),
    create: async (path, body) => {
      const reply = await send(port, { method: "POST", path, body, headers: undefined });
      if (reply.status !== 201) throw new Error(`POST ${path}: ${reply.status} ${reply.text}`);
      return reply.json;
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Sending {
  readonly method: string;
  readonly path: string;
  readonly body: SendBody | undefined;
  readonly headers: Record<string, string> | undefined;
}

async function send(port: number, { method, path, body, headers }: Sending): Promise<RestReply> {
  const isRaw = typeof body === "string" || Buffer.isBuffer(body);
  const bytes = body === undefined ? undefined : Buffer.from(isRaw ? body : JSON.stringify(body));
  const contentType = isRaw ? "application/x-www-form-urlencoded" : "application/json";
  const length: Record<string, number> = bytes === undefined ? {} : { "Content-Length": bytes.length };
  const request = httpRequest({
    port,
    host: "127.0.0.1",
    method,
    path,
    agent: false,
    headers: { ...length, ...(headers ?? (bytes === undefined ? {} : { "Content-Type": contentType })) },
  });
  request.end(bytes);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  const isJson = response.headers["content-type"]?.startsWith("application/json") === true && text !== "";
  return { status: response.statusCode!, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}
