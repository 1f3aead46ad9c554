/**
 * What applying costs in the threads that serve: 10,000 routes of 10,000 services over 2,000 upstreams with 10,000
 * targets. Two real workers take all of it while they serve other routes, then one target's change, then one route's.
 * The slices are what the workers measure around each piece of applying, with the collections of garbage that come in it
 * and waits for other threads, and without the time in which a worker had no core to run on, be it that another thread
 * had it or that the hypervisor had given it to another machine (test/support/clock-with-a-core.ts). The delays are what
 * anybody else would notice of it, with all that the machine does meanwhile: how much that is, a thread tells that does
 * nothing but look at the clock.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { collectGarbage } from "../data-plane/memory-return.ts";
import type { SnapshotEntity } from "../data-plane/snapshot/apply-snapshot.ts";
import { compareEntities } from "../data-plane/snapshot/held-content.ts";
import { RouteSchema } from "../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../proto/gen/penstock/config/v1/upstream_pb.ts";
import { EntitySchema, SnapshotChunkSchema } from "../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type ApplyFacts, openApplyRig } from "../test/support/apply-rig.ts";
import type { Figure } from "./prove.ts";

const routeCount = 10_000;
const upstreamCount = 2_000;
const targetCount = 10_000;
const wholeCount = 9;
const changeCount = 30;
const chunkEntityCount = 250;

const idOf = (kind: number, i: number) => `${String(kind).repeat(8)}-0000-4000-8000-${String(i).padStart(12, "0")}`;

function upstream(i: number): SnapshotEntity {
  const message = create(UpstreamSchema, { id: idOf(1, i), name: `upstream-${i}.internal`, slots: 10_000 });
  return { kind: "upstream", id: message.id, body: toBinary(UpstreamSchema, message) };
}

function target(i: number, weight: number): SnapshotEntity {
  const of = { upstream: { id: idOf(1, i % upstreamCount) }, target: `10.0.${i >> 8}.${i & 255}:8080` };
  const message = create(TargetSchema, { id: idOf(2, i), weight, ...of });
  return { kind: "target", id: message.id, body: toBinary(TargetSchema, message) };
}

function service(i: number): SnapshotEntity {
  const host = `upstream-${i % upstreamCount}.internal`;
  const message = create(ServiceSchema, { id: idOf(3, i), name: `service-${i}`, host, port: 80 });
  return { kind: "service", id: message.id, body: toBinary(ServiceSchema, message) };
}

/** @param team in the paths, so that two such states have no route in common */
function route(i: number, team: string): SnapshotEntity {
  const message = create(RouteSchema, {
    ...{ id: idOf(4, i), name: `route-${i}`, service: { id: idOf(3, i) } },
    ...{ hosts: [`host-${i % 1_000}.example.com`], paths: [`/${team}/service-${i}`] },
  });
  return { kind: "route", id: message.id, body: toBinary(RouteSchema, message) };
}

function state(team: string): readonly SnapshotEntity[] {
  const list = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));
  return [
    ...list(upstreamCount, upstream),
    ...list(targetCount, (i) => target(i, 100)),
    ...list(routeCount, service),
    ...list(routeCount, (i) => route(i, team)),
  ].sort(compareEntities);
}

/** The messages that a state comes in. */
function messagesOf(entities: readonly SnapshotEntity[]): readonly Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let first = 0; first < entities.length; first += chunkEntityCount) {
    const chunk = entities.slice(first, first + chunkEntityCount).map((entity) => create(EntitySchema, entity));
    messages.push(toBinary(SnapshotChunkSchema, create(SnapshotChunkSchema, { entities: chunk })));
  }
  return messages;
}

/**
 * As a node has it: the bodies are parts of the messages. Were each a buffer of its own, as it is where it was made, there
 * would be 100,000 small pieces of memory to free after each state, which no node has, in one piece of work that others
 * who want memory wait for: 4 to 19 ms.
 */
function received(messages: readonly Uint8Array[]): SnapshotEntity[] {
  const chunks = messages.map((message) => fromBinary(SnapshotChunkSchema, message));
  return chunks.flatMap(({ entities }) => entities.map(({ kind, id, body }) => ({ kind, id, body })));
}

/** The same state, as a delta makes it: with one entity in place of the one of its id. */
function withOne(entities: readonly SnapshotEntity[], changed: SnapshotEntity): SnapshotEntity[] {
  return entities.map((entity) => (compareEntities(entity, changed) === 0 ? changed : entity));
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const worst = (values: readonly number[]) => Math.max(...values);
const hundredths = (value: number) => Math.round(value * 100) / 100;

/** Of the longest of each time: of what applying takes, and less of what the machine does in one of many moments. */
function medians(what: string, facts: readonly ApplyFacts[]): Figure[] {
  const read: readonly (readonly [string, (one: ApplyFacts) => number])[] = [
    ["longest slice in a worker", (one) => one.sliceMaxMs],
    ["longest hold of a worker's loop", (one) => one.heldMaxMs],
    ["longest delay of a worker's loop", (one) => one.delayMaxMs],
    ["longest collection in a worker", (one) => one.collectionMaxMs],
  ];
  return read.map(([name, of]) => {
    const value = hundredths(median(facts.map(of)));
    return { name: `${what}: ${name}, in the median of ${facts.length}`, value, unit: "ms", atMost: null };
  });
}

function figuresOf(what: string, facts: readonly ApplyFacts[]): Figure[] {
  const of = (read: (one: ApplyFacts) => number, pick = worst) => hundredths(pick(facts.map(read)));
  return [
    { name: `${what}: longest slice in a worker`, value: of((one) => one.sliceMaxMs), unit: "ms", atMost: 5 },
    { name: `${what}: longest hold of a worker's loop`, value: of((one) => one.heldMaxMs), unit: "ms", atMost: 5 },
    ...medians(what, facts),
    { name: `${what}: a worker, until served`, value: of((one) => one.workerMs, median), unit: "ms", atMost: null },
    { name: `${what}: the node, until acked`, value: of((one) => one.nodeMs, median), unit: "ms", atMost: null },
    { name: `${what}: longest delay of a worker's loop`, value: of((one) => one.delayMaxMs), unit: "ms", atMost: null },
    {
      name: `${what}: longest collection in a worker`,
      value: of((one) => one.collectionMaxMs),
      unit: "ms",
      atMost: null,
    },
    { name: `${what}: longest stall of the main thread`, value: of((one) => one.mainMaxMs), unit: "ms", atMost: null },
    { name: `${what}: sent to each worker`, value: of((one) => one.sentBytes, median), unit: "bytes", atMost: null },
  ];
}

/** The longest time between two looks at the clock of a thread that does nothing else, in milliseconds. */
function longestGapMs(durationMs: number): number {
  const beganAtMs = performance.now();
  let gapMs = 0;
  for (let before = beganAtMs; before < beganAtMs + durationMs; ) {
    const now = performance.now();
    gapMs = Math.max(gapMs, now - before);
    before = now;
  }
  return gapMs;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const rig = await openApplyRig();
  try {
    const teams = [messagesOf(state("first")), messagesOf(state("second"))];
    await rig.apply(received(teams[0]!));
    // What making the states has left.
    collectGarbage();
    const idle = await rig.idle(1_000);
    const gapMs = longestGapMs(1_500);
    const whole: ApplyFacts[] = [];
    let entities: SnapshotEntity[] = [];
    for (let i = 1; i <= wholeCount; i++) {
      await sleep(500);
      entities = received(teams[i % 2]!);
      whole.push(await rig.apply(entities));
      progress(`whole: ${JSON.stringify(whole.at(-1))}`);
    }
    const ofTarget: ApplyFacts[] = [];
    const ofRoute: ApplyFacts[] = [];
    for (let i = 0; i < changeCount; i++) {
      entities = withOne(entities, target((i * 997) % targetCount, 50 + i));
      ofTarget.push(await rig.apply(entities));
      entities = withOne(entities, route((i * 997) % routeCount, `third-${i}`));
      ofRoute.push(await rig.apply(entities));
    }
    progress(`target: ${JSON.stringify(ofTarget.at(-1))}`);
    progress(`route: ${JSON.stringify(ofRoute.at(-1))}`);
    return [
      ...figuresOf("all of 10,000 routes", whole),
      ...figuresOf("one target among 10,000", ofTarget),
      ...figuresOf("one route among 10,000", ofRoute),
      { name: "nothing applied: longest delay of a worker's loop", value: hundredths(idle), unit: "ms", atMost: null },
      {
        name: "nothing but the clock: longest time without a core",
        value: hundredths(gapMs),
        unit: "ms",
        atMost: null,
      },
    ];
  } finally {
    await rig.close();
  }
}
