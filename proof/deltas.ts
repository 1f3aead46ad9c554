/**
 * One small change of 20,000 resources, as a delta and as a whole snapshot: bytes on the stream, and CPU on both sides
 * from the commit to the state that is ready to be compiled. Both go through the code that runs in the planes; what
 * comes after it (compiling, telling the workers) is the same for both and is not in these figures.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { StoredKind } from "../control-plane/resource/checked.ts";
import type { EncodedPush } from "../control-plane/snapshot/encode-snapshot.ts";
import { SnapshotCache } from "../control-plane/snapshot/snapshot-cache.ts";
import type { ResourceImage, StoredResource } from "../control-plane/store/resource-image.ts";
import type { ReceivedSnapshot } from "../data-plane/snapshot/apply-snapshot.ts";
import { SnapshotInbox } from "../data-plane/sync/snapshot-inbox.ts";
import { RouteSchema } from "../proto/gen/penstock/config/v1/route_pb.ts";
import { ServiceSchema } from "../proto/gen/penstock/config/v1/service_pb.ts";
import { TargetSchema } from "../proto/gen/penstock/config/v1/target_pb.ts";
import { UpstreamSchema } from "../proto/gen/penstock/config/v1/upstream_pb.ts";
import { ConnectResponseSchema } from "../proto/gen/penstock/sync/v1/sync_pb.ts";
import type { Figure } from "./prove.ts";

const countOfEachKind = 5_000;
const changeCount = 30;
const epoch = { counter: 1, id: Buffer.alloc(16, 1) };

/** As much of a store as publications are made of. */
class ProofStore {
  readonly epoch = epoch;
  readonly image: ResourceImage;
  #revision = 0;
  readonly #byKind = new Map<StoredKind, Map<string, StoredResource>>();

  constructor() {
    const ofKind = (kind: StoredKind) => this.#byKind.get(kind) ?? new Map();
    const revision = () => this.#revision;
    this.image = {
      get revision() {
        return revision();
      },
      get publication() {
        return revision();
      },
      get: (kind, id) => ofKind(kind).get(id),
      getByKey: () => undefined,
      all: (kind) => ofKind(kind).values(),
      count: (kind) => ofKind(kind).size,
      referrers: () => [],
      bodyBytes: 0,
    };
  }

  put(kind: StoredKind, id: string, body: Uint8Array, message: object): void {
    const resources = this.#byKind.get(kind) ?? new Map<string, StoredResource>();
    this.#byKind.set(kind, resources);
    const revision = ++this.#revision;
    resources.set(id, { kind, id, revision, body, message: message as never });
  }
}

const idOf = (kind: number, i: number) => `${String(kind).repeat(8)}-0000-4000-8000-${String(i).padStart(12, "0")}`;

function putTarget(store: ProofStore, i: number, weight: number): void {
  const upstream = { id: idOf(1, i) };
  const target = create(TargetSchema, { id: idOf(2, i), target: `10.0.${i >> 8}.${i & 255}:8080`, weight, upstream });
  store.put("target", target.id, toBinary(TargetSchema, target), target);
}

function fill(store: ProofStore): void {
  for (let i = 0; i < countOfEachKind; i++) {
    const upstream = create(UpstreamSchema, { id: idOf(1, i), name: `upstream-${i}.internal`, slots: 10_000 });
    store.put("upstream", upstream.id, toBinary(UpstreamSchema, upstream), upstream);
    putTarget(store, i, 100);
    const service = create(ServiceSchema, { id: idOf(3, i), name: `service-${i}`, host: upstream.name, port: 80 });
    store.put("service", service.id, toBinary(ServiceSchema, service), service);
    const route = create(RouteSchema, {
      ...{ id: idOf(4, i), name: `route-${i}`, hosts: [`host-${i}.example.com`], paths: [`/team/service-${i}`] },
      service: { id: service.id },
    });
    store.put("route", route.id, toBinary(RouteSchema, route), route);
  }
}

/** What a node is between its stream and its applier, which here serves at once. */
class ProofNode {
  readonly served: ReceivedSnapshot[] = [];
  #answered = () => {};
  readonly #inbox = new SnapshotInbox({
    restored: null,
    holding: () => this.served[0] ?? null,
    apply: async (snapshot) => {
      this.served[0] = snapshot;
      return { ok: true };
    },
    limits: { entityMaxCount: 1_000_000, bodyBytesMax: 2 ** 30 },
    clock: { monotonicMs: () => 0, unixMs: () => 0, after: () => () => {} },
    onAck: () => this.#answered(),
    onNack: (publication, refusal) => {
      throw new Error(`publication ${publication} was refused: ${refusal.reason}, ${refusal.message}`);
    },
    onApplied: () => {},
    onError: (error) => {
      throw error;
    },
  });

  /** Resolves when it is served; with the CPU time in milliseconds. */
  async take({ messages }: EncodedPush): Promise<number> {
    const copies = Array.from(messages, (message) => new Uint8Array(message));
    const answered = new Promise<void>((resolve) => {
      this.#answered = resolve;
    });
    const before = cpuMs();
    for (const bytes of copies) this.#inbox.receive(fromBinary(ConnectResponseSchema, bytes).message);
    await answered;
    return cpuMs() - before;
  }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!;
}

const bytesOf = ({ messages }: EncodedPush) => [...messages].reduce((sum, { length }) => sum + length, 0);
const hundredths = (value: number) => Math.round(value * 100) / 100;

export async function prove(progress: (line: string) => void): Promise<readonly Figure[]> {
  const store = new ProofStore();
  fill(store);
  const cache = new SnapshotCache(store, { publicationMaxCount: 1_000, changeMaxCount: 100_000 });
  const [byWhole, byDelta] = [new ProofNode(), new ProofNode()];
  cache.newest();
  for (const node of [byWhole, byDelta]) await node.take(cache.whole());
  const cpu = { publish: [] as number[], encodeDelta: [] as number[], encodeWhole: [] as number[] };
  const node = { delta: [] as number[], whole: [] as number[] };
  let bytes = { delta: 0, whole: 0 };
  for (let change = 0; change < changeCount; change++) {
    const held = byDelta.served[0]!;
    putTarget(store, (change * 997) % countOfEachKind, 50 + change);
    const times = [cpuMs()];
    cache.newest();
    times.push(cpuMs());
    const delta = cache.deltaFrom(held);
    times.push(cpuMs());
    const whole = cache.whole();
    // It is encoded where it is gone through.
    const wholeBytes = bytesOf(whole);
    times.push(cpuMs());
    if (delta === null) throw new Error("the change was not worth a delta");
    cpu.publish.push(times[1]! - times[0]!);
    cpu.encodeDelta.push(times[2]! - times[1]!);
    cpu.encodeWhole.push(times[3]! - times[2]!);
    node.delta.push(await byDelta.take(delta));
    node.whole.push(await byWhole.take(whole));
    if (Buffer.compare(byDelta.served[0]!.stateHash, byWhole.served[0]!.stateHash) !== 0)
      throw new Error("they differ");
    bytes = { delta: bytesOf(delta), whole: wholeBytes };
  }
  const control = {
    delta: median(cpu.publish) + median(cpu.encodeDelta),
    whole: median(cpu.publish) + median(cpu.encodeWhole),
  };
  progress(`control plane: ${hundredths(control.delta)} ms and ${hundredths(control.whole)} ms`);
  progress(`node: ${hundredths(median(node.delta))} ms and ${hundredths(median(node.whole))} ms`);
  const of = `one change of ${4 * countOfEachKind} resources`;
  return [
    { name: `${of} as a delta`, value: bytes.delta, unit: "bytes", atMost: 1_024 },
    { name: `${of} as a whole snapshot`, value: bytes.whole, unit: "bytes", atMost: null },
    { name: `control plane, as a delta`, value: hundredths(control.delta), unit: "ms of CPU", atMost: 10 },
    { name: `control plane, as a whole snapshot`, value: hundredths(control.whole), unit: "ms of CPU", atMost: null },
    { name: `node, as a delta`, value: hundredths(median(node.delta)), unit: "ms of CPU", atMost: 5 },
    { name: `node, as a whole snapshot`, value: hundredths(median(node.whole)), unit: "ms of CPU", atMost: null },
  ];
}
