/**
 * What subsets cost the control plane: 20,000 resources, half of which every node gets, the others by one of 100 labels;
 * 100 nodes, one of each label, so 100 subsets. Each figure is what the event loop is busy for, from a commit to the
 * deltas being encoded for every node that the commit concerns. And what others wait for that event loop while a much
 * larger control plane gets its first selector, and starts.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { StoredKind } from "../control-plane/resource/checked.ts";
import type { NodeLabels } from "../control-plane/resource/node-selector.ts";
import type { PublishedImage } from "../control-plane/snapshot/channel.ts";
import type { PublishedState } from "../control-plane/snapshot/publication-ring.ts";
import { SubsetChannels } from "../control-plane/snapshot/subset-channels.ts";
import { StepQueue } from "../control-plane/steps/step-queue.ts";
import type { StoredResource } from "../control-plane/store/resource-image.ts";
import { systemClock } from "../control-plane/sync/clock.ts";
import { STREAM_HUB_DEFAULTS } from "../control-plane/sync/stream-hub-settings.ts";
import { isSameHash } from "../proto/state-hash.ts";
import { channelFor, refresh } from "../test/support/channels-at-once.ts";
import { resourceOf } from "../test/support/subset-edits.ts";
import type { Figure } from "./prove.ts";

const countOfEachKind = 5_000;
const zoneCount = 100;
const changeCount = 30;
const ringLimits = { publicationMaxCount: 1_000, changeMaxCount: 100_000 };

class ProofSource implements PublishedImage {
  readonly epoch = { counter: 1, id: Buffer.alloc(16, 1) };
  readonly image: PublishedImage = this;
  publication = 0;
  readonly #byKind = new Map<StoredKind, Map<string, StoredResource>>();

  get revision(): number {
    return this.publication;
  }

  get(kind: StoredKind, id: string): never {
    return this.#byKind.get(kind)?.get(id) as never;
  }

  all(kind: StoredKind): never {
    return (this.#byKind.get(kind)?.values() ?? []) as never;
  }

  put(resource: StoredResource): void {
    const resources = this.#byKind.get(resource.kind) ?? new Map<string, StoredResource>();
    this.#byKind.set(resource.kind, resources);
    resources.set(resource.id, resource);
    this.publication++;
  }
}

const idOf = (kind: number, i: number) => `${String(kind).repeat(8)}-0000-4000-8000-${String(i).padStart(12, "0")}`;

const target = (i: number, weight: number, upstream = i) =>
  resourceOf("target", {
    id: idOf(2, i),
    target: `10.0.${i >> 8}.${i & 255}:80`,
    weight,
    upstream: { id: idOf(1, upstream) },
  });

const service = (i: number, upstream = i) =>
  resourceOf("service", { id: idOf(3, i), name: `service-${i}`, host: `upstream-${upstream}.internal`, port: 80 });

/** @param zone of the nodes that get it; null: all */
function route(i: number, zone: number | null): StoredResource {
  const nodeSelector = zone === null ? [] : [`zone=${zone}`];
  const [hosts, paths] = [[`host-${i}.example.com`], [`/team/service-${i}`]];
  return resourceOf("route", {
    id: idOf(4, i),
    name: `route-${i}`,
    hosts,
    paths,
    nodeSelector,
    service: { id: idOf(3, i) },
  });
}

/** Every second resource has a zone, unless nothing is to have one. */
const zoneOf = (i: number) => (i % 2 === 0 ? null : (i >> 1) % zoneCount);

function filled(hasSelectors: boolean): ProofSource {
  const source = new ProofSource();
  for (let i = 0; i < countOfEachKind; i++) {
    source.put(resourceOf("upstream", { id: idOf(1, i), name: `upstream-${i}.internal`, slots: 10_000 }));
    source.put(target(i, 100));
    source.put(service(i));
    source.put(route(i, hasSelectors ? zoneOf(i) : null));
  }
  return source;
}

/** What a large installation has. */
const large = { upstreams: 2_000, services: 10_000, targets: 10_000, routes: 10_000 };

/** @param hasSelectors of every second route */
function largeSource(hasSelectors: boolean): ProofSource {
  const source = new ProofSource();
  const upstreamOf = (i: number) => i % large.upstreams;
  for (let i = 0; i < large.upstreams; i++)
    source.put(resourceOf("upstream", { id: idOf(1, i), name: `upstream-${i}.internal`, slots: 10_000 }));
  for (let i = 0; i < large.targets; i++) source.put(target(i, 100, upstreamOf(i)));
  for (let i = 0; i < large.services; i++) source.put(service(i, upstreamOf(i)));
  for (let i = 0; i < large.routes; i++) source.put(route(i, hasSelectors ? zoneOf(i) : null));
  return source;
}

/** Nodes of all zones, whose channels are made in slices as those of a control plane are. */
class SlicedFleet {
  readonly #steps = new StepQueue({
    clock: systemClock,
    sliceMs: STREAM_HUB_DEFAULTS.sliceMs,
    onError: (error) => console.error(error),
  });
  readonly source: ProofSource;
  readonly channels: SubsetChannels;
  readonly #labels: readonly NodeLabels[] = Array.from({ length: zoneCount }, (_, zone) => ({ zone: String(zone) }));

  constructor(source: ProofSource) {
    this.source = source;
    this.channels = new SubsetChannels({
      ...{ source, ringLimits, graceMs: 1_000_000, clock: systemClock },
      log: { error: (facts: object) => console.error(facts) } as never,
      labelsOf: (nodeId) => this.#labels[Number(nodeId)]!,
    });
  }

  /** Publishes, and resolves when every node has its channel at what the source shows. */
  settle(): Promise<void> {
    for (let node = 0; node < zoneCount; node++)
      this.#steps.add(
        () => this.channels.arriveSteps([{ nodeId: String(node) }]),
        (publish) => publish!(),
      );
    return new Promise((resolve) =>
      this.#steps.add(
        () => this.channels.refreshSteps(),
        (publish) => resolve(publish!()),
      ),
    );
  }
}

/** What others wait for the event loop of a control plane that has much. */
async function loopDelays(progress: (line: string) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  const measure = async (name: string, run: () => Promise<void>) => {
    const delays = monitorEventLoopDelay({ resolution: 1 });
    delays.enable();
    const beganAtMs = performance.now();
    await run();
    const allMs = tenths(performance.now() - beganAtMs);
    delays.disable();
    const [p99Ms, longestMs] = [tenths(delays.percentile(99) / 1e6), tenths(delays.max / 1e6)];
    progress(`${name}: ${allMs} ms, delays of the event loop p99 ${p99Ms} ms, at most ${longestMs} ms`);
    figures.push(
      { name, value: allMs, unit: "ms", atMost: null },
      { name: `${name}, p99 of the event loop's delay`, value: p99Ms, unit: "ms", atMost: 50 },
      // With collections of garbage, and what else the machine does.
      { name: `${name}, longest delay of the event loop`, value: longestMs, unit: "ms", atMost: null },
    );
  };
  const fleet = new SlicedFleet(largeSource(false));
  await measure("a start of 32,000 resources without selectors", () => fleet.settle());
  fleet.source.put(route(1, 1));
  await measure("the first selector of 32,000 resources", () => fleet.settle());
  for (let i = 0; i < 2 * zoneCount; i++) fleet.source.put(route(i, i % zoneCount));
  await measure(`selectors that part nodes into ${zoneCount} subsets`, () => fleet.settle());
  const selected = new SlicedFleet(largeSource(true));
  await measure(`a start with ${zoneCount} subsets`, () => selected.settle());
  return figures;
}

class ProofFleet {
  readonly source: ProofSource;
  readonly channels: SubsetChannels;
  readonly #held = new Map<string, PublishedState>();
  readonly #labels: readonly NodeLabels[] = Array.from({ length: zoneCount }, (_, zone) => ({ zone: String(zone) }));

  constructor(hasSelectors: boolean) {
    this.source = filled(hasSelectors);
    this.channels = new SubsetChannels({
      ...{ source: this.source, ringLimits, graceMs: 1_000 },
      log: { error: (facts: object) => console.error(facts) } as never,
      labelsOf: (nodeId) => this.#labels[Number(nodeId)]!,
      clock: { after: () => () => {} },
    });
  }

  /** Has every node take what it lacks; returns how many lacked something. */
  settle(): number {
    let concernedCount = 0;
    for (let node = 0; node < zoneCount; node++) {
      const nodeId = String(node);
      const { newest, cache } = channelFor(this.channels, nodeId);
      const held = this.#held.get(nodeId);
      if (held !== undefined && isSameHash(held.stateHash, newest!.stateHash)) continue;
      if (held !== undefined && cache.deltaFrom(held) === null) throw new Error(`no delta for node ${nodeId}`);
      this.#held.set(nodeId, newest!);
      concernedCount++;
    }
    return concernedCount;
  }

  /** Median and worst time of one change, in milliseconds; how many nodes each concerned. */
  change(make: (i: number) => StoredResource) {
    const times: number[] = [];
    let concernedCount = 0;
    for (let i = 0; i < changeCount; i++) {
      this.source.put(make(i));
      const beforeMs = performance.now();
      refresh(this.channels);
      concernedCount = this.settle();
      times.push(performance.now() - beforeMs);
    }
    times.sort((left, right) => left - right);
    return { medianMs: tenths(times[changeCount >> 1]!), worstMs: tenths(times.at(-1)!), concernedCount };
  }
}

const tenths = (value: number) => Math.round(value * 10) / 10;

function heapMb(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const plain = new ProofFleet(false);
  plain.settle();
  const unselected = plain.change((i) => target(i, 200));
  const fleet = new ProofFleet(true);
  const emptyMb = heapMb();
  const beforeMs = performance.now();
  channelFor(fleet.channels, "0");
  const firstMs = performance.now() - beforeMs;
  progress(`${fleet.settle()} nodes in ${fleet.channels.count} subsets`);
  const allMs = performance.now() - beforeMs;
  const subsetsMb = heapMb() - emptyMb;
  const figures: Figure[] = [
    { name: "resources", value: 4 * countOfEachKind, unit: "resources", atMost: null },
    { name: "subsets", value: fleet.channels.count, unit: "subsets", atMost: null },
    { name: "the first subset", value: tenths(firstMs), unit: "ms", atMost: null },
    { name: "each further subset", value: tenths((allMs - firstMs) / (zoneCount - 1)), unit: "ms", atMost: null },
    { name: "memory of all subsets", value: Math.round(subsetsMb), unit: "MiB", atMost: null },
  ];
  const tell = (name: string, { medianMs, worstMs, concernedCount }: ReturnType<ProofFleet["change"]>) => {
    progress(`${name}: ${medianMs} ms, at worst ${worstMs} ms, ${concernedCount} of ${zoneCount} nodes`);
    figures.push({ name: `${name}, median`, value: medianMs, unit: "ms", atMost: 20 });
    figures.push({
      name: `${name}, nodes that are sent something`,
      value: concernedCount,
      unit: "nodes",
      atMost: null,
    });
  };
  tell("a change without any selector", unselected);
  tell(
    "a change of one subset",
    fleet.change((i) => target(2 * i + 1, 200)),
  );
  tell(
    "a change of all subsets",
    fleet.change((i) => target(2 * i, 200)),
  );
  tell(
    "a route that goes to other nodes",
    fleet.change((i) => route(2 * i + 1, (i + 7) % zoneCount)),
  );
  tell(
    "a selector that is new",
    fleet.change((i) => ({ ...route(1, 1), ...newSelector(i) })),
  );
  return [...figures, ...(await loopDelays(progress))];
}

/** Matched by one node. */
function newSelector(i: number): StoredResource {
  const { message } = route(1, 1);
  const nodeSelector = ["zone=3", `rack!=${i}`];
  return resourceOf("route", { ...(message as object), id: idOf(4, 1), nodeSelector } as never);
}
