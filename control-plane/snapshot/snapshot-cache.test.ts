import { describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import type { Kind } from "../resource/checked.ts";
import { buildSnapshot } from "./build-snapshot.ts";
import { SnapshotCache } from "./snapshot-cache.ts";

const resource = (kind: Kind, id: string, message: object = {}) => ({
  kind,
  id,
  body: Buffer.from(`${kind} ${id}`),
  message: message as never,
});

function everything(store: FakeSyncStore) {
  return (["upstream", "target", "service", "route"] as const).flatMap((kind) => [...store.image.all(kind)]);
}

describe("buildSnapshot", () => {
  it("orders by kind, what is referred to first, and by id", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r", { service: { id: "s" } }));
    store.put(resource("target", "t", { upstream: { id: "b" } }));
    for (const id of ["b", "a"]) store.put(resource("upstream", id));
    store.put(resource("service", "s"));
    const built = buildSnapshot(store.image);
    expect(built.ok && built.entities.map(({ kind, id }) => `${kind}/${id}`)).toEqual([
      "upstream/a",
      "upstream/b",
      "target/t",
      "service/s",
      "route/r",
    ]);
  });

  it("takes a route without a service", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r"));
    expect(buildSnapshot(store.image).ok).toBe(true);
  });

  it("names every reference that points to nothing", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r", { service: { id: "gone" } }));
    store.put(resource("target", "t"));
    expect(buildSnapshot(store.image)).toEqual({
      ok: false,
      danglingReferences: [
        { kind: "target", id: "t", toKind: "upstream", toId: "" },
        { kind: "route", id: "r", toKind: "service", toId: "gone" },
      ],
    });
  });
});

describe("SnapshotCache", () => {
  it("encodes a publication once and the next one anew", () => {
    const store = new FakeSyncStore();
    const cache = new SnapshotCache(store, 10);
    store.putUpstream("u1");
    const first = cache.newest();
    expect(cache.newest()).toBe(first);
    store.putUpstream("u2");
    expect(cache.newest()).not.toBe(first);
  });

  it("arrives at the hash of the content after additions, changes and removals that it was not asked about", () => {
    const store = new FakeSyncStore();
    const cache = new SnapshotCache(store, 10);
    for (const name of ["a", "b", "c", "d"]) store.putUpstream(name);
    cache.newest();
    store.putUpstream("b", { tags: ["changed"] });
    store.remove("upstream", "c");
    store.putUpstream("e");
    store.remove("upstream", "d");
    store.putUpstream("d");
    const cached = cache.newest();
    expect(cached.ok && cached.snapshot.stateHash).toEqual(stateHashOf(everything(store)));
  });

  it("knows so many past publications", () => {
    const store = new FakeSyncStore();
    const cache = new SnapshotCache(store, 2);
    for (const name of ["a", "b", "c"]) {
      store.putUpstream(name);
      cache.newest();
    }
    expect([1, 2, 3].map((publication) => cache.recent(publication)?.revision)).toEqual([undefined, 2, 3]);
  });
});
