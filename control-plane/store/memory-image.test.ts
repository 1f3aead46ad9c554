import { describe, expect, it } from "vitest";
import { serviceWrite, targetWrite, upstreamWrite } from "../../test/support/resource-write.ts";
import { decodeResource } from "./decode-resource.ts";
import { type ImageEntry, MemoryImage } from "./memory-image.ts";
import type { ResourceWrite } from "./store.ts";

function entryOf(write: ResourceWrite, revision = 1): ImageEntry {
  const { kind, id, body, uniqueKeys, references } = write;
  return { stored: { kind, id, revision, body, message: decodeResource(kind, body) }, uniqueKeys, references };
}

function ids(resources: Iterable<{ id: string }>): string[] {
  return [...resources].map((resource) => resource.id).sort();
}

describe("MemoryImage", () => {
  it("finds a resource by id and by unique key, decoded", () => {
    const image = new MemoryImage();
    image.put(entryOf(upstreamWrite({ id: "u1", name: "one" }), 7));
    expect(image.get("upstream", "u1")).toMatchObject({ revision: 7, message: { name: "one" } });
    expect(image.getByKey("upstream", "name:one")?.id).toBe("u1");
    expect(image.count("upstream")).toBe(1);
  });

  it("keeps kinds apart", () => {
    const image = new MemoryImage();
    image.put(entryOf(upstreamWrite({ id: "x", name: "same" })));
    expect(image.get("service", "x")).toBeUndefined();
    expect(image.getByKey("service", "name:same")).toBeUndefined();
    expect(ids(image.all("service"))).toEqual([]);
  });

  it("forgets the keys of what a put replaces", () => {
    const image = new MemoryImage();
    image.put(entryOf(upstreamWrite({ id: "u1", name: "old" })));
    const before = image.put(entryOf(upstreamWrite({ id: "u1", name: "new" })));
    expect(before?.message).toMatchObject({ name: "old" });
    expect(image.getByKey("upstream", "name:old")).toBeUndefined();
    expect(image.getByKey("upstream", "name:new")?.id).toBe("u1");
  });

  it("keeps both keys when two resources swap theirs", () => {
    const image = new MemoryImage();
    image.put(entryOf(upstreamWrite({ id: "u1", name: "one" })));
    image.put(entryOf(upstreamWrite({ id: "u2", name: "two" })));
    image.put(entryOf(upstreamWrite({ id: "u1", name: "two" })));
    image.put(entryOf(upstreamWrite({ id: "u2", name: "one" })));
    expect(image.getByKey("upstream", "name:two")?.id).toBe("u1");
    expect(image.getByKey("upstream", "name:one")?.id).toBe("u2");
  });

  it("knows who refers to a resource, through moves and removals", () => {
    const image = new MemoryImage();
    image.put(entryOf(targetWrite({ id: "t1", target: "a:1", upstreamId: "u1" })));
    image.put(entryOf(targetWrite({ id: "t2", target: "b:1", upstreamId: "u1" })));
    expect(ids(image.referrers("target", "upstream", "u1"))).toEqual(["t1", "t2"]);
    image.put(entryOf(targetWrite({ id: "t2", target: "b:1", upstreamId: "u2" })));
    expect(ids(image.referrers("target", "upstream", "u1"))).toEqual(["t1"]);
    expect(ids(image.referrers("target", "upstream", "u2"))).toEqual(["t2"]);
    image.remove("target", "t1");
    expect(ids(image.referrers("target", "upstream", "u1"))).toEqual([]);
    expect(ids(image.referrers("route", "upstream", "u2"))).toEqual([]);
  });

  it("removes what is not there without effect", () => {
    expect(new MemoryImage().remove("route", "none")).toBeUndefined();
  });

  it("takes over another image's state whole", () => {
    const image = new MemoryImage();
    image.put(entryOf(upstreamWrite({ id: "u1", name: "one" })));
    const other = new MemoryImage();
    other.put(entryOf(serviceWrite({ id: "s1", host: "h" })));
    other.advance(4, 5);
    image.replaceWith(other);
    expect(image.count("upstream")).toBe(0);
    expect(image.get("service", "s1")?.message.host).toBe("h");
    expect([image.revision, image.publication]).toEqual([4, 5]);
  });
});
