import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { ConnectResponseSchema } from "../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { stateHashOf } from "../../proto/state-hash.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import type { StoredKind } from "../resource/checked.ts";
import { findDanglingReferences, inSnapshotOrder } from "./build-snapshot.ts";
import type { EncodedPush } from "./encode-snapshot.ts";
import type { PublishedState } from "./publication-ring.ts";
import { PublishedContent } from "./published-content.ts";
import { lateChanges, SnapshotCache } from "./snapshot-cache.ts";

const resource = (kind: StoredKind, id: string, message: object = {}) => ({
  kind,
  id,
  body: Buffer.from(`${kind} ${id}`),
  message: message as never,
});

function everything(store: FakeSyncStore) {
  return (["upstream", "target", "service", "route"] as const).flatMap((kind) => [...store.image.all(kind)]);
}

const ordered = (store: FakeSyncStore) => inSnapshotOrder((kind) => store.image.all(kind));
const dangling = (store: FakeSyncStore) => findDanglingReferences(ordered(store), store.image);

describe("inSnapshotOrder", () => {
  it("orders by kind, what is referred to first, and by id", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r", { service: { id: "s" } }));
    store.put(resource("health_override", "o", { target: { id: "t" } }));
    store.put(resource("target", "t", { upstream: { id: "b" } }));
    for (const id of ["b", "a"]) store.put(resource("upstream", id));
    store.put(resource("service", "s", { clientCertificate: { id: "c" }, caCertificates: ["ca"] }));
    store.put(resource("ticket_key", "k"));
    store.put(resource("sni", "n", { certificate: { id: "c" } }));
    store.put(resource("certificate", "c", { clientAuthentication: { caCertificates: ["ca"] } }));
    store.put(resource("ca_certificate", "ca"));
    expect(ordered(store).map(({ kind, id }) => `${kind}/${id}`)).toEqual([
      "ca_certificate/ca",
      "certificate/c",
      "sni/n",
      "upstream/a",
      "upstream/b",
      "target/t",
      "health_override/o",
      "service/s",
      "route/r",
      "ticket_key/k",
    ]);
  });
});

describe("findDanglingReferences", () => {
  it("takes a route without a service", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r"));
    expect(dangling(store)).toEqual([]);
  });

  it("names every reference that points to nothing", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r", { service: { id: "gone" } }));
    store.put(resource("target", "t"));
    store.put(resource("health_override", "o", { target: { id: "gone" } }));
    expect(dangling(store)).toEqual([
      { kind: "target", id: "t", toKind: "upstream", toId: "" },
      { kind: "health_override", id: "o", toKind: "target", toId: "gone" },
      { kind: "route", id: "r", toKind: "service", toId: "gone" },
    ]);
  });

  it("names every certificate and authority that is not there, each by itself", () => {
    const store = new FakeSyncStore();
    store.put(resource("certificate", "c", { clientAuthentication: { caCertificates: ["x", "y"] } }));
    store.put(resource("sni", "n", { certificate: { id: "gone" } }));
    store.put(resource("upstream", "u", { clientCertificate: { id: "gone" } }));
    store.put(resource("service", "s", { clientCertificate: { id: "gone" }, caCertificates: ["x"] }));
    expect(dangling(store).map(({ kind, toKind, toId }) => `${kind} -> ${toKind}/${toId}`)).toEqual([
      "certificate -> ca_certificate/x",
      "certificate -> ca_certificate/y",
      "sni -> certificate/gone",
      "upstream -> certificate/gone",
      "service -> certificate/gone",
      "service -> ca_certificate/x",
    ]);
  });
});

const limits = { publicationMaxCount: 10, changeMaxCount: 1_000 };

/** A cache over a store of so many upstreams, all of them published. */
function cacheOf(upstreamCount: number, ringLimits = limits) {
  const store = new FakeSyncStore();
  for (let i = 0; i < upstreamCount; i++) store.putUpstream(`u${i}`);
  const cache = new SnapshotCache(store, ringLimits);
  const publish = (): PublishedState => {
    const newest = cache.newest();
    if (!newest.ok) throw new Error("the state is not whole");
    return newest.published;
  };
  return { store, cache, publish, first: publish() };
}

function deltaIn(push: EncodedPush | null) {
  const { message } = fromBinary(ConnectResponseSchema, new Uint8Array([...push!.messages][0]!));
  if (message.case !== "delta") throw new Error("no delta");
  const { upserts, deletes } = message.value;
  return { ...message.value, upserts: upserts.map(({ id }) => id), deletes: deletes.map(({ id }) => id) };
}

describe("SnapshotCache", () => {
  it("encodes a publication once and the next one anew", () => {
    const { store, cache, publish } = cacheOf(1);
    const first = cache.whole();
    expect(cache.whole()).toBe(first);
    store.putUpstream("other");
    expect(cache.whole()).toBe(first);
    publish();
    expect(cache.whole()).not.toBe(first);
    expect(() => new SnapshotCache(store, limits).whole()).toThrow("nothing was published");
  });

  it("arrives at the hash of the content after additions, changes and removals that it was not asked about", () => {
    const { store, publish } = cacheOf(4);
    store.putUpstream("u1", { tags: ["changed"] });
    store.remove("upstream", "u2");
    store.putUpstream("e");
    store.remove("upstream", "u3");
    store.putUpstream("u3");
    expect(publish().stateHash).toEqual(stateHashOf(everything(store)));
  });

  it.each([1, 100])("publishes in steps what one go would have, at once or by a fork: %i at once", (changedAtOnce) => {
    const { store, cache } = cacheOf(40);
    const [before, wholeBefore] = [cache.newest(), contentOf(cache.whole())];
    for (let i = 0; i < 40; i++) store.putUpstream(`u${i}`, { tags: ["changed"] });
    store.remove("upstream", "u1");
    const steps = cache.prepareSteps(lateChanges(changedAtOnce));
    let stepCount = 0;
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) stepCount++;
    expect(stepCount).toBeGreaterThan(2);
    expect(contentOf(cache.whole())).toEqual(wholeBefore);
    const published = step.value();
    expect(published).not.toEqual(before);
    expect(published).toMatchObject({ ok: true, published: { stateHash: stateHashOf(everything(store)) } });
    expect(contentOf(cache.whole()).size).toBe(everything(store).length);
  });

  it("copies nothing of what it has for some changes", () => {
    const { store, cache } = cacheOf(200);
    const fork = vi.spyOn(PublishedContent.prototype, "fork");
    for (let i = 0; i < 101; i++) store.putUpstream(`u${i}`, { tags: ["changed"] });
    expect(cache.newest().ok).toBe(true);
    expect(fork).not.toHaveBeenCalled();
    fork.mockRestore();
  });

  it("leaves all as it was while a reference points to nothing, wherever it comes from", () => {
    const { store, cache, publish } = cacheOf(2);
    store.put(resource("target", "t", { upstream: { id: "u1" } }));
    const { publication, revision, stateHash } = publish();
    store.remove("upstream", "u1");
    const reference = { kind: "target", id: "t", toKind: "upstream", toId: "u1" };
    expect(cache.newest()).toEqual({ ok: false, danglingReferences: [reference] });
    expect(cache.newest()).toBe(cache.newest());
    expect(cache.whole()).toMatchObject({ publication, revision, stateHash });
    store.putUpstream("u1");
    expect(publish().publication).toBe(5);
    store.put(resource("target", "t", { upstream: { id: "gone" } }));
    expect(cache.newest().ok).toBe(false);
  });

  it("knows so many past publications", () => {
    const { store, cache, publish, first } = cacheOf(1, { publicationMaxCount: 2, changeMaxCount: 1_000 });
    for (const name of ["b", "c"]) {
      store.putUpstream(name);
      publish();
    }
    expect([1, 2, 3].map((publication) => cache.recent(publication)?.revision)).toEqual([undefined, 2, 3]);
    expect(cache.deltaFrom(first)).toBeNull();
  });

  it("tells what changed from any publication that it knows, as it is now, each resource once", () => {
    const { store, cache, publish, first } = cacheOf(100);
    store.putUpstream("u7", { tags: ["one"] });
    store.putUpstream("short-lived");
    const second = publish();
    store.putUpstream("u7", { tags: ["two"] });
    store.remove("upstream", "u8");
    store.remove("upstream", "short-lived");
    const third = publish();
    const numbers = { publication: 105n, revision: 105n, stateHash: third.stateHash };
    expect(deltaIn(cache.deltaFrom(second))).toMatchObject({
      ...{ basePublication: 102n, ...numbers },
      ...{ upserts: ["u7"], deletes: ["u8", "short-lived"] },
    });
    // What the first publication did not have must not be taken out of it.
    expect(deltaIn(cache.deltaFrom(first))).toMatchObject({
      ...{ basePublication: 100n, ...numbers },
      ...{ upserts: ["u7"], deletes: ["u8"] },
    });
    expect(cache.deltaFrom(first)).toBe(cache.deltaFrom(first));
    expect(cache.deltaFrom({ ...first, stateHash: new Uint8Array(32) })).toBeNull();
    // Content that is known, by a number of elsewhere: the delta begins from that number.
    expect(deltaIn(cache.deltaFrom({ ...second, publication: 7 }))).toMatchObject({ basePublication: 7n, ...numbers });
    expect(deltaIn(cache.deltaFrom({ ...second, publication: 100 })).upserts).toEqual(["u7"]);
  });

  it("sends the whole where the delta would be more than 30 % of it, or more than 256 KiB", () => {
    const { store, cache, publish, first } = cacheOf(100);
    for (let i = 0; i < 25; i++) store.putUpstream(`u${i}`, { retries: 1 } as object);
    publish();
    expect(deltaIn(cache.deltaFrom(first)).upserts).toHaveLength(25);
    for (let i = 25; i < 40; i++) store.putUpstream(`u${i}`, { retries: 1 } as object);
    const beforeLarge = publish();
    expect(cache.deltaFrom(first)).toBeNull();

    for (let i = 0; i < 10; i++) store.putUpstream(`large${i}`, { tags: ["x".repeat(200_000)] });
    const large = publish();
    expect(cache.deltaFrom(beforeLarge)).toBeNull();
    store.putUpstream("u1", { tags: ["x".repeat(200_000)] });
    const oneMore = publish();
    expect([...cache.deltaFrom(large)!.messages][0]!.length).toBeGreaterThan(200_000);
    store.putUpstream("u2", { tags: ["x".repeat(100_000)] });
    publish();
    expect(cache.deltaFrom(large)).toBeNull();
    expect(deltaIn(cache.deltaFrom(oneMore)).upserts).toEqual(["u2"]);
  });

  it("forgets the oldest publications when too much has changed since them", () => {
    const { store, cache, publish, first } = cacheOf(100, { publicationMaxCount: 100, changeMaxCount: 30 });
    const published = [first];
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 10; i++) store.putUpstream(`u${i}`, { tags: [String(round)] });
      published.push(publish());
    }
    const known = published.map(({ publication }) => cache.recent(publication) !== undefined);
    expect(known).toEqual([...Array(7).fill(false), ...Array(4).fill(true)]);
    expect(deltaIn(cache.deltaFrom(published[7]!)).upserts).toHaveLength(10);
  });

  it("arrives, by deltas from anywhere, where the whole arrives", () => {
    const change = fc.record({ id: fc.nat(29), tag: fc.nat(3), isRemoval: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 5 }), { minLength: 1, maxLength: 12 }), (rounds) => {
        const { store, cache, publish, first } = cacheOf(60);
        const states = [{ published: first, content: contentOf(cache.whole()) }];
        for (const round of rounds) {
          for (const { id, tag, isRemoval } of round) {
            if (isRemoval) store.remove("upstream", `u${id}`);
            else store.putUpstream(`u${id}`, { tags: [String(tag)] });
          }
          publish();
          states.push({ published: publish(), content: contentOf(cache.whole()) });
          for (const { published, content } of states.slice(-11)) {
            const delta = cache.deltaFrom(published);
            if (delta !== null) expect(patched(content, delta)).toEqual(states.at(-1)!.content);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

function contentOf({ messages }: EncodedPush): Map<string, string> {
  const content = new Map<string, string>();
  for (const bytes of messages) {
    const { message } = fromBinary(ConnectResponseSchema, bytes);
    if (message.case !== "snapshotChunk") continue;
    for (const { kind, id, body } of message.value.entities)
      content.set(`${kind}/${id}`, Buffer.from(body).toString("hex"));
  }
  return content;
}

function patched(content: ReadonlyMap<string, string>, delta: EncodedPush): Map<string, string> {
  const { message } = fromBinary(ConnectResponseSchema, [...delta.messages][0]!);
  if (message.case !== "delta") throw new Error("no delta");
  const result = new Map(content);
  for (const { kind, id, body } of message.value.upserts)
    result.set(`${kind}/${id}`, Buffer.from(body).toString("hex"));
  for (const { kind, id } of message.value.deletes) expect(result.delete(`${kind}/${id}`)).toBe(true);
  return result;
}
