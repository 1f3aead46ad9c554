import { fromBinary } from "@bufbuild/protobuf";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { type HashedEntity, stateHashOf } from "../../proto/state-hash.ts";
import { seededRandom } from "../../test/simulation/simulated-time.ts";
import { anyResource, anyUnreferenced, type Random, resourceOf } from "../../test/support/subset-edits.ts";
import type { StoredKind } from "../resource/checked.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import type { StoredResource } from "../store/resource-image.ts";
import { SNAPSHOT_KINDS } from "./build-snapshot.ts";
import type { PublishedImage } from "./channel.ts";
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

/** Turns of an event loop in which nothing else happens. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  count = 0;

  readonly clock = {
    monotonicMs: () => 0,
    after: (delayMs: number, run: () => void) => {
      if (delayMs === 0) this.#waiting.push(run);
      return () => {};
    },
  };

  /** Whether something was left to do. */
  takeOne(): boolean {
    const run = this.#waiting.shift();
    if (run === undefined) return false;
    this.count++;
    run();
    return true;
  }

  takeAll(): void {
    while (this.takeOne()) {}
  }
}

/** Channels that take one step in a turn. */
function fleetOf(source: Source, labels: Record<string, NodeLabels>) {
  const turns = new Turns();
  const told = { late: 0 };
  const errors: object[] = [];
  const channels = new SubsetChannels({
    ...{ source, clock: turns.clock, sliceMs: 0, graceMs: 1_000 },
    log: { ...pino({ level: "silent" }), error: (facts: object) => errors.push(facts) } as never,
    ringLimits: { publicationMaxCount: 10, changeMaxCount: 10_000 },
    labelsOf: (nodeId) => labels[nodeId]!,
    onLate: () => told.late++,
  });
  const of = (nodeId: string) => channels.channelFor({ nodeId });
  return { turns, told, errors, channels, of };
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

/** Turns that it takes until all nodes have what they get when the first selector comes. */
function turnsOfFirstSelector(routeCount: number): number {
  const source = plainSource(routeCount);
  const { turns, channels, of, told } = fleetOf(source, { a: { zone: "eu" }, b: { zone: "us" } });
  channels.refresh();
  for (const nodeId of ["a", "b"]) of(nodeId);
  turns.takeAll();
  const [before, toldBefore, held] = [turns.count, told.late, of("a").newest!];
  source.put(resourceOf("route", { id: "r0", nodeSelector: ["zone=eu"], service: { id: "s" } }));
  channels.refresh();
  expect(channels.isUnderWay).toBe(true);
  // Until theirs is there, nodes keep what they have.
  while (told.late === toldBefore) {
    for (const nodeId of ["a", "b"])
      expect([held.publication, source.publication]).toContain(of(nodeId).newest?.publication);
    expect(turns.takeOne()).toBe(true);
  }
  for (const [nodeId, zone] of [
    ["a", "eu"],
    ["b", "us"],
  ] as const) {
    expect(of(nodeId).newest!.publication).toBe(source.publication);
    expect(hex(of(nodeId).newest!.stateHash)).toBe(source.hashFor({ zone }));
  }
  return turns.count - before;
}

/** Turns until the first node of a subset that shares nothing with what there was has it. */
function turnsOfOtherSubset(routeCount: number): number {
  const source = new Source();
  for (let i = 0; i < routeCount; i++) source.put(resourceOf("route", { id: `r${i}`, nodeSelector: ["zone=eu"] }));
  const { turns, channels, of } = fleetOf(source, { a: {}, b: { zone: "eu" } });
  channels.refresh();
  of("a");
  turns.takeAll();
  const before = turns.count;
  expect(of("b").newest).toBeNull();
  turns.takeAll();
  expect(hex(of("b").newest!.stateHash)).toBe(source.hashFor({ zone: "eu" }));
  return turns.count - before;
}

describe("SubsetChannels in slices", () => {
  it("leaves turns to others while the first selector is worked out, more of them the more there is", () => {
    // Each resource is unlinked, linked, fitted and decided of, 16 in a turn.
    expect(turnsOfFirstSelector(2_000) - turnsOfFirstSelector(1_000)).toBeGreaterThanOrEqual((4 * 1_000) / 16);
  });

  it("leaves turns to others while the content of a subset is hashed, more of them the more there is", () => {
    expect(turnsOfOtherSubset(2_000) - turnsOfOtherSubset(1_000)).toBeGreaterThanOrEqual(1_000 / 16);
  });

  it("has nothing for a node whose subset is being made, and tells when it has", () => {
    const source = plainSource(200);
    source.put(resourceOf("route", { id: "eu", nodeSelector: ["zone=eu"] }));
    const fleet = fleetOf(source, { a: { zone: "eu" } });
    expect(fleet.of("a").newest).toBeNull();
    expect(fleet.told.late).toBe(0);
    fleet.turns.takeAll();
    expect(fleet.told.late).toBe(1);
    expect(fleet.of("a").newest!.publication).toBe(source.publication);
  });

  it("forgets a node that leaves while its subset is being made", () => {
    const source = plainSource(200);
    const fleet = fleetOf(source, { a: { zone: "eu" }, b: { zone: "eu" } });
    fleet.of("a");
    fleet.channels.left({ nodeId: "a" });
    fleet.turns.takeAll();
    fleet.of("b");
    fleet.turns.takeAll();
    fleet.channels.left({ nodeId: "b" });
    // Nobody is there: what is published is no longer published for that subset.
    source.put(resourceOf("route", { id: "r0", nodeSelector: ["zone=eu"] }));
    fleet.channels.refresh();
    fleet.turns.takeAll();
    expect(fleet.channels.count).toBe(1);
  });

  it("publishes all at once where it has to, whatever is under way", () => {
    const source = plainSource(200);
    const fleet = fleetOf(source, { a: { zone: "eu" } });
    fleet.of("a");
    fleet.turns.takeOne();
    source.put(resourceOf("route", { id: "eu", nodeSelector: ["zone=eu"] }));
    fleet.channels.refreshAtOnce();
    expect(fleet.channels.isUnderWay).toBe(false);
    expect(hex(fleet.of("a").newest!.stateHash)).toBe(source.hashFor({ zone: "eu" }));
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
  /** What each publication is to each node. */
  const meant = new Map<string, string>();
  const note = () => {
    const hashes = new Map(everyLabels.map((of) => [JSON.stringify(of), source.hashFor(of)]));
    for (const nodeId of nodeIds) {
      const hash = hashes.get(JSON.stringify(labels[nodeId]))!;
      meant.set(`${nodeId} ${source.publication}`, hash);
    }
  };
  const fleet = fleetOf(source, labels);
  const last = new Map<string, number>();
  const check = (nodeId: string, isWholeRead: boolean) => {
    const { newest, cache } = fleet.of(nodeId);
    if (newest === null) return;
    const { publication, stateHash } = newest;
    const place = { seed, nodeId, publication };
    expect({ ...place, hash: hex(stateHash) }).toEqual({ ...place, hash: meant.get(`${nodeId} ${publication}`) });
    expect(publication).toBeGreaterThanOrEqual(last.get(nodeId) ?? 0);
    last.set(nodeId, publication);
    if (isWholeRead) expect(hashOfWhole(cache)).toBe(hex(stateHash));
  };
  note();
  let midWayCount = 0;
  for (let i = 0; i < 400; i++) {
    if (fleet.turns.takeOne()) midWayCount++;
    if (random() < 0.1) {
      edit(source, random, oneOf);
      if (random() < 0.2) {
        labels[oneOf(nodeIds)] = { ...oneOf(everyLabels) };
        // As a node's identity is stored: a publication of its own.
        source.publication++;
      }
      note();
      if (random() < 0.7) fleet.channels.refresh();
    }
    if (random() < 0.02) fleet.channels.left({ nodeId: oneOf(nodeIds) });
    if (random() < 0.5) check(oneOf(nodeIds), random() < 0.2);
  }
  expect(midWayCount).toBeGreaterThan(100);
  fleet.channels.refresh();
  for (const nodeId of nodeIds) fleet.of(nodeId);
  fleet.turns.takeAll();
  for (const nodeId of nodeIds) {
    check(nodeId, true);
    expect(fleet.of(nodeId).newest!.publication).toBe(source.publication);
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
