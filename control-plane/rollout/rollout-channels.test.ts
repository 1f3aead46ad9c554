import { describe, expect, it } from "vitest";
import { channelFor, refresh } from "../../test/support/channels-at-once.ts";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { resourceOf } from "../../test/support/subset-edits.ts";
import type { NodeLabels } from "../resource/node-selector.ts";
import { SubsetChannels } from "../snapshot/subset-channels.ts";
import { untilDone } from "../steps/until-done.ts";
import { openLog } from "../telemetry/log.ts";
import { FrozenContent } from "./frozen-content.ts";
import { RolloutChannels } from "./rollout-channels.ts";
import type { ShownContent } from "./rollout-view.ts";

const log = openLog("fatal");
const noLabels = {};
const routeCount = 600;

/** Channels over a store with what takes some steps to publish; what is to fall between two of them waits. */
function rig(labelsOf: (nodeId: string) => NodeLabels = () => noLabels) {
  const store = new FakeSyncStore();
  const writeAll = (tag: string) => {
    for (let i = 0; i < routeCount; i++) store.put(resourceOf("route", { id: `r${i}`, tags: [tag] }));
  };
  writeAll("first");
  const waiting: (() => void)[] = [];
  const clock = { after: () => () => {} };
  const channels = new RolloutChannels({
    store,
    make: (source) =>
      new SubsetChannels({
        ...{ source, log, clock, graceMs: 1_000, labelsOf },
        ringLimits: { publicationMaxCount: 100, changeMaxCount: 10_000 },
      }),
    betweenSteps: (change) => void waiting.push(change),
    log,
  });
  const change = () => {
    for (const one of waiting.splice(0)) one();
  };
  const shown = (): ShownContent => {
    const { revision, publication } = store.image;
    return { content: FrozenContent.of(store.image, revision), point: { revision, publication } };
  };
  const published = (nodeId: string) => channels.channelOf(nodeId)!.newest!.publication;
  return { store, channels, writeAll, change, shown, published };
}

describe("RolloutChannels", () => {
  it("shows what was decided once no steps are under way, and says so until then", () => {
    const { store, channels, writeAll, change, shown, published } = rig();
    refresh(channels);
    const baseline = shown();
    channelFor(channels, "a");
    writeAll("second");
    channels.showCandidate(shown(), baseline, () => true);
    expect([channels.isChanging, channels.isSplit]).toEqual([true, false]);
    expect(channels.sourcePublicationFor("a")).toBe(store.image.publication);
    change();
    expect([channels.isChanging, channels.isSplit]).toEqual([false, true]);
    expect(published("a")).toBe(baseline.point.publication);
  });

  it("leaves a node that is reached where it is until the candidate's channel is whole", () => {
    const { store, channels, writeAll, change, shown, published } = rig();
    const baseline = shown();
    for (const nodeId of ["a", "b"]) channelFor(channels, nodeId);
    writeAll("second");
    channels.showCandidate(shown(), baseline, (nodeId) => nodeId === "a");
    change();
    const steps = channels.refreshSteps();
    let stepCount = 0;
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) stepCount++;
    expect(stepCount).toBeGreaterThan(10);
    expect([published("a"), published("b")]).toEqual([baseline.point.publication, baseline.point.publication]);
    step.value();
    expect(published("b")).toBe(baseline.point.publication);
    expect(published("a")).toBe(store.image.publication);
    const { publication, stateHash } = channels.channelOf("b")!.newest!;
    expect(channels.channelOf("a")!.cache.recent(publication)).toMatchObject({ publication, stateHash });
  });

  it("takes nobody back to something older when a rollout is over, whatever was written between the steps", () => {
    const { store, channels, writeAll, change, shown, published } = rig();
    const baseline = shown();
    for (const nodeId of ["a", "b"]) channelFor(channels, nodeId);
    channels.showCandidate(shown(), baseline, (nodeId) => nodeId === "a");
    change();
    refresh(channels);
    channels.showToAll(null);
    change();
    writeAll("second");
    const steps = channels.refreshSteps();
    for (let i = 0; i < 5; i++) expect(steps.next().done).toBe(false);
    store.put(resourceOf("route", { id: "later" }));
    untilDone(steps)();
    const before = published("a");
    channels.join();
    change();
    expect(published("a")).toBeGreaterThanOrEqual(before);
    expect(channels.channelOf("a")).toBe(channels.channelOf("b"));
  });

  it("gives a node that comes to the candidate its place on the other side as well, no further behind", () => {
    const { store, channels, writeAll, change, shown, published } = rig();
    channels.showCandidate(shown(), shown(), () => true);
    change();
    refresh(channels);
    channels.showToAll(null);
    change();
    writeAll("second");
    const steps = channels.arriveSteps([{ nodeId: "a" }]);
    for (let i = 0; i < 20; i++) expect(steps.next().done).toBe(false);
    store.put(resourceOf("route", { id: "later" }));
    untilDone(steps)();
    const before = published("a");
    channels.join();
    change();
    expect(published("a")).toBeGreaterThanOrEqual(before);
  });

  it("has all that is shown to all on both sides after a node has come, and not for its subset alone", () => {
    const labels: Record<string, NodeLabels> = { a: { zone: "eu" }, b: { zone: "us" } };
    const { store, channels, change, shown, published } = rig((nodeId) => labels[nodeId]!);
    store.put(resourceOf("route", { id: "r0", nodeSelector: ["zone=eu"] }));
    channelFor(channels, "a");
    channels.showCandidate(shown(), shown(), () => true);
    change();
    refresh(channels);
    store.put(resourceOf("route", { id: "later" }));
    channels.showToAll(null);
    change();
    channelFor(channels, "b");
    expect([published("a"), published("b")]).toEqual([store.image.publication, store.image.publication]);
    channels.join();
    change();
    expect([published("a"), published("b")]).toEqual([store.image.publication, store.image.publication]);
  });

  it("gives nodes nothing while it is suspended, and those that came then what there is after it", () => {
    const { store, channels, change, published } = rig();
    channels.suspend(true);
    change();
    refresh(channels);
    expect(channelFor(channels, "a").newest).toBeNull();
    channels.suspend(false);
    change();
    refresh(channels);
    expect(published("a")).toBe(store.image.publication);
  });
});
