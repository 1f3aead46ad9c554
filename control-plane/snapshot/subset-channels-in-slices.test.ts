import { fromBinary } from "@bufbuild/protobuf";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type HashedEntity, stateHashOf } from "../../proto/state-hash.ts";
import { seededRandom } from "../../test/simulation/simulated-time.ts";
import { channelFor, refresh } from "../../test/support/channels-at-once.ts";
import { anyResource, anyUnreferenced, type Random, resourceOf } from "../../test/support/subset-edits.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import { untilDone } from "../steps/until-done.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { SNAPSHOT_KINDS } from "./build-snapshot.ts";
import type { ChannelSteps, PublishedImage } from "./channel.ts";
import type { SnapshotCache } from "./snapshot-cache.ts";
import { SubsetChannels } from "./subset-channels.ts";
import { SubsetIndex } from "./subset-index.ts";
import { SubsetView } from "./subset-view.ts";

const epoch = { counter: 1, id: Buffer.alloc(16) };

class Source {
  readonly epoch = epoch;
  readonly image: PublishedImage = this as never;
  readonly resources = new Map<string, StoredResource>();
  readonly #byKind = new Map<StoredKind, Map<string, StoredResource>>(SNAPSHOT_KINDS.map((kind) => [kind, new Map()]));
  publication = 1;

  get revision() {
    return this.publication;
  }

  get(kind: StoredKind, id: string) {
    return this.#byKind.get(kind)!.get(id);
  }

  all(kind: StoredKind) {
    return this.#byKind.get(kind)!.values();
  }

  put(resource: StoredResource): void {
    this.resources.set(`${resource.kind}/${resource.id}`, resource);
    this.#byKind.get(resource.kind)!.set(resource.id, resource);
    this.publication++;
  }

  remove({ kind, id }: StoredResource): void {
    this.resources.delete(`${kind}/${id}`);
    this.#byKind.get(kind)!.delete(id);
    this.publication++;
  }

  /** What nodes with some labels are meant to have now, made in one go by something that has no past. */
  hashFor(labels: NodeLabels): string {
    const index = new SubsetIndex(this);
    index.update();
    const view = new SubsetView(epoch, index, labels);
    return hex(stateHashOf(SNAPSHOT_KINDS.flatMap((kind) => [...view.all(kind)])));
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Channels whose steps are taken one by one. */
function fleetOf(source: Source, labels: Record<string, NodeLabels>) {
  const errors: object[] = [];
  const channels = new SubsetChannels({
    ...{ source, graceMs: 1_000, clock: { after: () => () => {} } },
    log: { ...pino({ level: "silent" }), error: (facts: object) => errors.push(facts) } as never,
    ringLimits: { publicationMaxCount: 10, changeMaxCount: 10_000 },
    labelsOf: (nodeId) => labels[nodeId]!,
  });
  return { errors, channels };
}

/** The hash of what a node gets that is sent the whole. */
function hashOfWhole(cache: SnapshotCache): string {
  const entities: HashedEntity[] = [];
  for (const bytes of cache.whole().messages) {
    const { message } = fromBinary(ConnectResponseSchema, bytes);
    if (message.case === "snapshotChunk") entities.push(...message.value.entities);
  }
  return hex(stateHashOf(entities));
}

function plainSource(routeCount: number): Source {
  const source = new Source();
  source.put(resourceOf("service", { id: "s" }));
  for (let i = 0; i < routeCount; i++) source.put(resourceOf("route", { id: `r${i}`, service: { id: "s" } }));
  return source;
}

/** Takes all steps and publishes. @param look before each */
function countSteps(steps: ChannelSteps, look: () => void): number {
  for (let count = 0; ; count++) {
    look();
    const step = steps.next();
    if (!step.done) continue;
    look();
    step.value();
    return count;
  }
}

/** Steps that it takes until all nodes have what they get when the first selector comes. */
function stepsOfFirstSelector(routeCount: number): number {
  const source = plainSource(routeCount);
  const { channels } = fleetOf(source, { a: { zone: "eu" }, b: { zone: "us" } });
  refresh(channels);
  const held = channelFor(channels, "a").newest!;
  expect(channelFor(channels, "b").newest).toBe(held);
  source.put(resourceOf("route", { id: "r0", nodeSelector: ["zone=eu"], service: { id: "s" } }));
  const stepCount = countSteps(channels.refreshSteps(), () => {
    // Until all is there, nodes keep what they have.
    for (const nodeId of ["a", "b"]) expect(channels.channelOf(nodeId)!.newest).toBe(held);
  });
  for (const [nodeId, zone] of [
    ["a", "eu"],
    ["b", "us"],
  ] as const) {
    const { publication, stateHash } = channels.channelOf(nodeId)!.newest!;
    expect([publication, hex(stateHash)]).toEqual([source.publication, source.hashFor({ zone })]);
  }
  return stepCount;
}

/** Steps until the first node of a subset that shares nothing with what there was has it. */
function stepsOfOtherSubset(routeCount: number): number {
  const source = new Source();
  for (let i = 0; i < routeCount; i++) source.put(resourceOf("route", { id: `r${i}`, nodeSelector: ["zone=eu"] }));
  const { channels } = fleetOf(source, { a: {}, b: { zone: "eu" } });
  refresh(channels);
  channelFor(channels, "a");
  const stepCount = countSteps(channels.arriveSteps([{ nodeId: "b" }]), () =>
    expect(channels.channelOf("b")).toBeNull(),
  );
  expect(hex(channels.channelOf("b")!.newest!.stateHash)).toBe(source.hashFor({ zone: "eu" }));
  return stepCount;
}

describe("SubsetChannels in steps", () => {
  it("takes more steps to work out the first selector, the more there is", () => {
    // Each resource is unlinked, linked, fitted and decided of, 16 in a step.
    expect(stepsOfFirstSelector(2_000) - stepsOfFirstSelector(1_000)).toBeGreaterThanOrEqual((4 * 1_000) / 16);
  });

  it("takes more steps to hash the content of a subset, the more there is", () => {
    expect(stepsOfOtherSubset(2_000) - stepsOfOtherSubset(1_000)).toBeGreaterThanOrEqual(1_000 / 16);
  });

  it("publishes what one go would have, under its number, whatever is written between the steps", () => {
    for (let seed = 0; seed < 5; seed++) writeBetweenSteps(seed);
  });
});

const everyLabels: readonly NodeLabels[] = [{}, { zone: "eu" }, { zone: "us" }, { zone: "eu", tier: "edge" }];

function writeBetweenSteps(seed: number): void {
  const random = seededRandom(seed);
  const oneOf = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)]!;
  const source = plainSource(300);
  const labels: Record<string, NodeLabels> = Object.fromEntries(everyLabels.map((of, i) => [`n${i}`, { ...of }]));
  const nodeIds = Object.keys(labels);
  /** What each publication is to nodes with some labels. */
  const meant = new Map<string, string>();
  const note = () => {
    for (const of of everyLabels) meant.set(`${source.publication} ${JSON.stringify(of)}`, source.hashFor(of));
  };
  /** The labels that each node has and had, those left out of which what was published since knows nothing. */
  const had = new Map(nodeIds.map((nodeId) => [nodeId, [labels[nodeId]!]]));
  const fleet = fleetOf(source, labels);
  const { channels } = fleet;
  const last = new Map<string, number>();
  const check = (nodeId: string, isWholeRead: boolean) => {
    const newest = channels.channelOf(nodeId)?.newest ?? null;
    if (newest === null) return;
    const { publication, stateHash } = newest;
    const place = { seed, nodeId, publication };
    const meantFor = (of: NodeLabels) => meant.get(`${publication} ${JSON.stringify(of)}`);
    const isMeant = had.get(nodeId)!.some((of) => meantFor(of) === hex(stateHash));
    expect({ ...place, isMeant }).toEqual({ ...place, isMeant: true });
    expect(publication).toBeGreaterThanOrEqual(last.get(nodeId) ?? 0);
    last.set(nodeId, publication);
    if (isWholeRead) expect(hashOfWhole(channels.channelOf(nodeId)!.cache)).toBe(hex(stateHash));
  };
  note();
  let steps: ChannelSteps | null = null;
  /** Labels when all of it was begun to be published. */
  let refreshedLabels: Record<string, NodeLabels> | null = null;
  let midWayCount = 0;
  for (let i = 0; i < 600; i++) {
    const step = steps?.next();
    if (step?.done) {
      step.value();
      steps = null;
      if (refreshedLabels !== null)
        for (const [nodeId, all] of had) had.set(nodeId, all.slice(all.indexOf(refreshedLabels[nodeId]!)));
      refreshedLabels = null;
    } else if (steps !== null) midWayCount++;
    else if (random() < 0.5) {
      steps = channels.refreshSteps();
      refreshedLabels = { ...labels };
    } else if (random() < 0.9) steps = channels.arriveSteps([{ nodeId: oneOf(nodeIds) }]);
    else channels.left(oneOf(nodeIds));
    if (random() < 0.1) {
      edit(source, random, oneOf);
      // As a node's identity is stored: a publication of its own.
      if (random() < 0.2) {
        const nodeId = oneOf(nodeIds);
        labels[nodeId] = { ...oneOf(everyLabels) };
        had.get(nodeId)!.push(labels[nodeId]);
        source.publication++;
      }
      note();
    }
    if (random() < 0.5) check(oneOf(nodeIds), random() < 0.2);
  }
  expect(midWayCount).toBeGreaterThan(100);
  if (steps !== null) untilDone(steps)();
  for (const nodeId of nodeIds) channelFor(channels, nodeId);
  refresh(channels);
  for (const nodeId of nodeIds) {
    check(nodeId, true);
    const { publication, stateHash } = channels.channelOf(nodeId)!.newest!;
    expect([publication, hex(stateHash)]).toEqual([source.publication, source.hashFor(labels[nodeId]!)]);
  }
  expect(fleet.errors).toEqual([]);
}

/** A few writes, or as many as make a content anew. */
function edit(source: Source, random: Random, oneOf: <T>(choices: readonly T[]) => T): void {
  const editCount = 1 + Math.floor(3 * random());
  for (let i = 0; i < editCount; i++) {
    const gone = random() < 0.3 ? anyUnreferenced(random, source.resources) : null;
    if (gone !== null && gone.id !== "s" && !gone.id.startsWith("r")) source.remove(gone);
    const written = anyResource(random, source.resources);
    if (written !== null) source.put(written);
  }
  if (random() > 0.2) return;
  const nodeSelector = oneOf([[], ["zone=eu"], ["!zone"]]);
  for (let i = 0; i < 300; i++) source.put(resourceOf("route", { id: `r${i}`, nodeSelector, service: { id: "s" } }));
}
