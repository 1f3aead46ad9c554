import { describe, expect, it } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import type { StoredKind } from "../resource/checked.ts";
import { buildSnapshot } from "./build-snapshot.ts";
import { SnapshotCache } from "./snapshot-cache.ts";

const resource = (kind: StoredKind, id: string, message: object = {}) => ({
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
    store.put(resource("health_override", "o", { target: { id: "t" } }));
    store.put(resource("target", "t", { upstream: { id: "b" } }));
    for (const id of ["b", "a"]) store.put(resource("upstream", id));
    store.put(resource("service", "s", { clientCertificate: { id: "c" }, caCertificates: ["ca"] }));
    store.put(resource("ticket_key", "k"));
    store.put(resource("sni", "n", { certificate: { id: "c" } }));
    store.put(resource("certificate", "c", { clientAuthentication: { caCertificates: ["ca"] } }));
    store.put(resource("ca_certificate", "ca"));
    const built = buildSnapshot(store.image);
    expect(built.ok && built.entities.map(({ kind, id }) => `${kind}/${id}`)).toEqual([
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

  it("takes a route without a service", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r"));
    expect(buildSnapshot(store.image).ok).toBe(true);
  });

  it("names every reference that points to nothing", () => {
    const store = new FakeSyncStore();
    store.put(resource("route", "r", { service: { id: "gone" } }));
    store.put(resource("target", "t"));
    store.put(resource("health_override", "o", { target: { id: "gone" } }));
    expect(buildSnapshot(store.image)).toEqual({
      ok: false,
      danglingReferences: [
        { kind: "target", id: "t", toKind: "upstream", toId: "" },
        { kind: "health_override", id: "o", toKind: "target", toId: "gone" },
        { kind: "route", id: "r", toKind: "service", toId: "gone" },
      ],
    });
  });

  it("names every certificate and authority that is not there, each by itself", () => {
    const store = new FakeSyncStore();
    store.put(resource("certificate", "c", { clientAuthentication: { caCertificates: ["x", "y"] } }));
    store.put(resource("sni", "n", { certificate: { id: "gone" } }));
    store.put(resource("upstream", "u", { clientCertificate: { id: "gone" } }));
    store.put(resource("service", "s", { clientCertificate: { id: "gone" }, caCertificates: ["x"] }));
    const built = buildSnapshot(store.image);
    const dangling = built.ok ? [] : built.danglingReferences;
    expect(dangling.map(({ kind, toKind, toId }) => `${kind} -> ${toKind}/${toId}`)).toEqual([
      "certificate -> ca_certificate/x",
      "certificate -> ca_certificate/y",
      "sni -> certificate/gone",
      "upstream -> certificate/gone",
      "service -> certificate/gone",
      "service -> ca_certificate/x",
    ]);
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
