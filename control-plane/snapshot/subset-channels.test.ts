import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { channelFor, refresh } from "../../test/support/channels-at-once.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { resourceOf } from "../../test/support/subset-edits.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import type { Channel } from "./channel.ts";
import { SubsetChannels } from "./subset-channels.ts";

/** A fleet that is told what is published whenever something was. */
function fleetOf(labels: Record<string, NodeLabels>) {
  const store = new FakeSyncStore();
  const clock = new ManualClock();
  const channels = new SubsetChannels({
    ...{ source: store, clock, log: pino({ level: "silent" }), graceMs: 1_000 },
    ringLimits: { publicationMaxCount: 10, changeMaxCount: 100 },
    labelsOf: (nodeId) => labels[nodeId]!,
  });
  const of = (nodeId: string) => channelFor(channels, nodeId);
  const route = (id: string, ...nodeSelector: string[]) => {
    store.put(resourceOf("route", { id, nodeSelector, paths: [`/${id}/${"x".repeat(200)}`] }));
    refresh(channels);
  };
  const remove = (id: string) => {
    store.remove("route", id);
    refresh(channels);
  };
  const begin = () => {
    for (let i = 0; i < 20; i++) route(`common${i}`);
    for (const nodeId of Object.keys(labels)) of(nodeId);
  };
  return { store, clock, channels, of, route, remove, begin, labels };
}

const heldBy = (channel: Channel) => channel.newest!;

describe("SubsetChannels", () => {
  it("shares one channel among all nodes that the same selectors match", () => {
    const fleet = fleetOf({ a: { zone: "eu", rack: "1" }, b: { zone: "eu", rack: "2" }, c: {}, d: { zone: "us" } });
    fleet.begin();
    expect(new Set(["a", "b", "c", "d"].map(fleet.of)).size).toBe(1);
    fleet.route("eu", "zone=eu");
    expect(fleet.of("a")).toBe(fleet.of("b"));
    expect(fleet.of("c")).toBe(fleet.of("d"));
    expect(fleet.of("a")).not.toBe(fleet.of("c"));
    expect(fleet.of("a").cache.whole()).toBe(fleet.of("b").cache.whole());
  });

  it("publishes nothing new where a change does not concern a subset, and counts on", () => {
    const fleet = fleetOf({ a: { zone: "eu" }, b: { zone: "us" } });
    fleet.begin();
    fleet.route("eu", "zone=eu");
    const [held, before] = [heldBy(fleet.of("b")), heldBy(fleet.of("a"))];
    fleet.route("eu2", "zone=eu");
    expect(heldBy(fleet.of("b"))).toMatchObject({
      stateHash: held.stateHash,
      publication: fleet.store.image.publication,
    });
    expect(heldBy(fleet.of("b")).sincePublication).toBe(held.sincePublication);
    expect(heldBy(fleet.of("a")).stateHash).not.toEqual(before.stateHash);
    // However long ago it came to hold it: a change that concerns it is a delta from there.
    for (let i = 0; i < 50; i++) fleet.route("eu2", "zone=eu", `n${i}!=1`);
    fleet.route("all");
    expect(fleet.of("b").cache.deltaFrom(held)).toMatchObject({ basePublication: held.publication });
  });

  it("parts nodes with the past that they have in common, and joins them again", () => {
    const fleet = fleetOf({ a: { zone: "eu" }, b: { zone: "us" } });
    fleet.begin();
    const held = heldBy(fleet.of("a"));
    fleet.route("eu", "zone=eu");
    expect(fleet.channels.count).toBe(2);
    for (const nodeId of ["a", "b"]) {
      const { cache } = fleet.of(nodeId);
      expect(cache.deltaFrom(held) === null).toBe(false);
    }
    const parted = heldBy(fleet.of("a"));
    fleet.remove("eu");
    // What a holds is not known in the channel of b, so it gets the change where it is.
    expect(fleet.of("a").cache.deltaFrom(parted)).toMatchObject({ basePublication: parted.publication });
    const same = heldBy(fleet.of("a"));
    expect(same.stateHash).toEqual(heldBy(fleet.of("b")).stateHash);
    fleet.route("later");
    expect(fleet.of("a")).toBe(fleet.of("b"));
    expect(fleet.channels.count).toBe(1);
    expect(fleet.of("a").cache.deltaFrom(same)).toMatchObject({ basePublication: same.publication });
  });

  it("moves a node whose labels become others, to what is published by then", () => {
    const fleet = fleetOf({ a: { zone: "eu" }, b: { zone: "us" } });
    fleet.begin();
    fleet.route("eu", "zone=eu");
    fleet.route("us", "zone=us");
    const held = heldBy(fleet.of("a"));
    fleet.labels["a"] = { zone: "us" };
    // The publication that comes with other labels.
    fleet.remove("nothing");
    expect(fleet.of("a")).toBe(fleet.of("b"));
    expect(heldBy(fleet.of("a")).publication).toBeGreaterThan(held.publication);
    expect(fleet.of("a").cache.deltaFrom(held)).toBeNull();
  });

  it("keeps a subset for those who come back, and forgets it after a while", () => {
    const fleet = fleetOf({ a: { zone: "eu" }, b: { zone: "us" } });
    fleet.begin();
    fleet.route("eu", "zone=eu");
    const [channel, held] = [fleet.of("a"), heldBy(fleet.of("a"))];
    fleet.channels.left("a");
    fleet.route("eu2", "zone=eu");
    expect(heldBy(channel)).toBe(held);
    fleet.clock.advance(999);
    expect(fleet.of("a")).toBe(channel);
    expect(heldBy(channel).publication).toBe(fleet.store.image.publication);
    expect(channel.cache.deltaFrom(held)).not.toBeNull();
    fleet.channels.left("a");
    fleet.channels.left("b");
    fleet.clock.advance(1_000);
    expect(fleet.channels.count).toBe(1);
    expect(fleet.of("a")).not.toBe(channel);
  });

  it("goes on publishing for those who come to a subset that was there before any node, and was forgotten", () => {
    const fleet = fleetOf({ a: { zone: "eu" }, b: { zone: "us" }, c: {} });
    fleet.route("eu", "zone=eu");
    for (const nodeId of ["a", "b"]) fleet.of(nodeId);
    fleet.channels.left("b");
    fleet.clock.advance(1_000);
    expect(fleet.channels.count).toBe(1);
    const channel = fleet.of("c");
    fleet.route("later");
    expect(fleet.of("c")).toBe(channel);
    expect(heldBy(channel).publication).toBe(fleet.store.image.publication);
  });
});
