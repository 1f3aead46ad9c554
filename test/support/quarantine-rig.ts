import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { referencesOf } from "../../control-plane/snapshot/build-snapshot.ts";
import { quarantinesInForce } from "../../control-plane/snapshot/held-versions.ts";
import { decodeResource } from "../../control-plane/store/decode-resource.ts";
import type { StoredResource } from "../../control-plane/store/resource-image.ts";
import type { ResourceWrite } from "../../control-plane/store/store.ts";
import { startQuarantineCompletion } from "../../control-plane/sync/complete-quarantines.ts";
import { QuarantineKeeper } from "../../control-plane/sync/quarantine-keeper.ts";
import { RouteSchema } from "../../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../../proto/gen/penstock/config/v1/service_pb.ts";
import { UpstreamSchema } from "../../proto/gen/penstock/config/v1/upstream_pb.ts";
import type { Entity, NackSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { MemoryStore } from "./memory-store.ts";
import type { ScriptedNode } from "./scripted-node.ts";
import { startHub } from "./sync-hub-rig.ts";

const schemas = { upstream: UpstreamSchema, service: ServiceSchema, route: RouteSchema } as const;
type RigKind = keyof typeof schemas;

/** What a node says of a snapshot: why it refuses it, or null. */
export type Taste = (entities: readonly Entity[]) => MessageInitShape<typeof NackSchema> | null;

/** A hub over a store with a keeper of quarantines, and nodes that refuse what a test says. */
export async function startQuarantineRig({ maxCount = 100, store = new MemoryStore() } = {}) {
  const log = pino({ level: "silent" });
  const keeper = new QuarantineKeeper({ store, clock: { unixMs: () => 1_000 }, log, maxCount });
  const judged: Promise<void>[] = [];
  const quarantine = {
    refused: (refusal: Parameters<QuarantineKeeper["refused"]>[0]) => {
      const done = keeper.refused(refusal);
      judged.push(done);
      return done;
    },
  };
  const rig = await startHub({ store, quarantine });
  onTestFinished(startQuarantineCompletion({ store, log }));
  const write = (writes: readonly ResourceWrite[]) => {
    const outcome = store.transactNow(writes);
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.conflict));
    return outcome.revision;
  };
  return {
    ...rig,
    write,
    put: (kind: RigKind, id: string, message: object = {}) => write([putOf(store, kind, id, message)]),
    remove: (kind: RigKind, id: string) => write([deletionOf(kind, id)]),
    inForce: () => quarantinesInForce(store.image).map(({ message }) => message),
    /** A node that takes or refuses what comes, until nothing more comes. */
    connectPicky: async (nodeId: string, taste: Taste) => {
      const node = rig.connect();
      node.hello(nodeId);
      await node.answered;
      return pickyNode(node, taste);
    },
    /** Lets everything come about that is due: pushes, answers, quarantines. */
    settle: async () => {
      for (let round = 0; round < 30; round++) {
        rig.clock.advance(300);
        for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
        await Promise.all(judged.splice(0));
      }
    },
  };
}

export function putOf(store: MemoryStore, kind: RigKind, id: string, message: object = {}): ResourceWrite {
  const body = toBinary(
    schemas[kind],
    create(schemas[kind] as typeof UpstreamSchema, { name: id, ...message, id }) as never,
  );
  const references = referencesOf({
    kind,
    id,
    revision: 0,
    body,
    message: decodeResource(kind, body),
  } as StoredResource);
  const operation = store.image.get(kind, id) === undefined ? "create" : "update";
  const name = (message as { name?: string }).name ?? id;
  return {
    ...{ kind, id, operation, body, expectedRevision: null, uniqueKeys: [`name:${name}`] },
    references: references.map(({ toKind, toId }) => ({ kind: toKind, id: toId })),
  };
}

export function deletionOf(kind: RigKind, id: string): ResourceWrite {
  return {
    kind,
    id,
    operation: "delete",
    body: new Uint8Array(),
    expectedRevision: null,
    uniqueKeys: [],
    references: [],
  };
}

/** A node of which can be said what it serves, as "kind/id tags"; it answers by itself. */
function pickyNode(node: ScriptedNode, taste: Taste) {
  let served: readonly Entity[] = [];
  let publication = 0n;
  let before = { publication, served };
  const refused: bigint[] = [];
  let isOver = false;
  const run = async () => {
    while (!isOver) {
      const { begin, entities } = await node.nextSnapshot();
      const nack = taste(entities);
      if (nack === null) {
        before = { publication, served };
        ({ publication } = begin);
        served = entities;
        node.ack(begin);
      } else {
        refused.push(begin.publication);
        const value = { reason: "invalid_entity", publication: begin.publication, keptPublication: publication };
        node.send({ case: "nack", value: { ...value, ...nack } as never });
      }
    }
  };
  void run().catch(() => {});
  onTestFinished(() => {
    isOver = true;
    node.close();
  });
  return {
    node,
    refused,
    /** Its workers died of what it serves. */
    goBack() {
      const bad = publication;
      ({ publication, served } = before);
      const value = { publication: bad, keptPublication: publication, reason: "workers_lost", message: "lost" };
      node.send({ case: "nack", value });
    },
    get publication() {
      return publication;
    },
    /** What it serves, each with its tags. */
    get content() {
      return served.map(({ kind, id, body }) => {
        const { tags } = decodeResource(kind as RigKind, body);
        return [`${kind}/${id}`, ...tags].join(" ");
      });
    },
  };
}

/** Refuses every snapshot with an entity of a tag, and names the first. */
export function refusing(tag: string): Taste {
  return (entities) => {
    const bad = entities.find(({ kind, body }) => decodeResource(kind as RigKind, body).tags.includes(tag));
    if (bad === undefined) return null;
    return { entityKind: bad.kind, entityId: bad.id, entityName: bad.id, field: "tags", message: `cannot take ${tag}` };
  };
}
