import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { NodeIdentitySchema } from "../../proto/gen/penstock/config/v1/node_identity_pb.ts";
import { RolloutMode, RolloutPolicySchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { channelFor, refresh } from "../../test/support/channels-at-once.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { resourceOf } from "../../test/support/subset-edits.ts";
import type { Channels } from "../snapshot/channels.ts";
import { SubsetChannels } from "../snapshot/subset-channels.ts";
import type { ResourceWrite } from "../store/store.ts";
import { openLog } from "../telemetry/log.ts";
import { nextStage } from "./rollout-steps.ts";
import { openRollouts, type Rollouts } from "./rollouts.ts";

const log = openLog("fatal");
const nodeIds = ["a", "b", "c", "d"];
const limits = { publicationMaxCount: 100, changeMaxCount: 1_000 };
const noLabels = {};

/** A store with staged rollouts whose nodes get what their labels select. */
class Fleet {
  readonly store = new MemoryStore();
  readonly clock = new ManualClock();
  rollouts!: Rollouts;
  channels!: Channels;

  /** As a control plane that starts on what is stored. */
  async start(): Promise<void> {
    this.rollouts?.close();
    this.rollouts = await openRollouts({ store: this.store, clock: this.clock, log });
    this.channels = this.rollouts.channels(
      (source) =>
        new SubsetChannels({
          ...{ source, ringLimits: limits, log, clock: this.clock, graceMs: 1_000 },
          labelsOf: (nodeId) => this.store.image.get("node_identity", nodeId)?.message.labels ?? noLabels,
        }),
      (change) => change(),
    );
  }

  async write(write: Pick<ResourceWrite, "kind" | "id" | "body">): Promise<void> {
    const operation = this.store.image.get(write.kind, write.id) === undefined ? "create" : "update";
    const facts = { expectedRevision: null, uniqueKeys: [], references: [] };
    expect(await this.store.transact([{ ...write, ...facts, operation }], "test")).toMatchObject({ ok: true });
    refresh(this.channels);
  }

  async put(id: string, text: string, ...nodeSelector: string[]): Promise<void> {
    await this.write(resourceOf("upstream", { id, name: id, nodeSelector, tags: [text] }));
  }

  async label(nodeId: string, labels: Record<string, string>): Promise<void> {
    const body = toBinary(NodeIdentitySchema, create(NodeIdentitySchema, { id: nodeId, labels }));
    await this.write({ kind: "node_identity", id: nodeId, body });
  }

  async advance(): Promise<void> {
    expect(await this.rollouts.step((rollout, nowMs) => nextStage(rollout, nodeIds, nowMs))).toBe(true);
    refresh(this.channels);
  }

  /** What a node is given. */
  given(nodeId: string) {
    const { cache, newest } = channelFor(this.channels, nodeId);
    const { publication, stateHash } = newest!;
    return { publication, stateHash, hash: Buffer.from(stateHash).toString("hex"), cache };
  }
}

/** Nodes a and b in the EU, c and d in the US, each with an upstream of its zone; changes go stage by stage. */
async function twoZones(): Promise<Fleet> {
  const fleet = new Fleet();
  await fleet.start();
  for (const nodeId of nodeIds) await fleet.label(nodeId, { zone: nodeId < "c" ? "eu" : "us" });
  for (let i = 0; i < 20; i++) await fleet.put(`common${i}`, "x".repeat(200));
  await fleet.put("eu", "first", "zone=eu");
  await fleet.put("us", "first", "zone=us");
  const stages = [{ nodeCount: 1 }, { nodeCount: 2 }];
  const policy = create(RolloutPolicySchema, { mode: RolloutMode.STAGED, stages });
  expect(await fleet.rollouts.setPolicy(policy)).toMatchObject({ ok: true });
  refresh(fleet.channels);
  for (const nodeId of nodeIds) fleet.given(nodeId);
  return fleet;
}

describe("nodes with labels during a rollout", () => {
  it("get what other labels select under a number of its own, on both sides, also after a restart", async () => {
    const fleet = await twoZones();
    await fleet.put("common0", "second");
    await fleet.rollouts.begin(nodeIds);
    refresh(fleet.channels);
    for (const nodeId of ["a", "c"]) {
      const [before, others] = [fleet.given(nodeId), fleet.given("d")];
      await fleet.label(nodeId, { zone: nodeId === "a" ? "us" : "eu" });
      const after = fleet.given(nodeId);
      expect(after.hash).not.toBe(before.hash);
      expect(after.publication).toBeGreaterThan(before.publication);
      expect(fleet.given("d").hash).toBe(others.hash);
    }
    const before = nodeIds.map((nodeId) => fleet.given(nodeId));
    await fleet.start();
    const after = nodeIds.map((nodeId) => fleet.given(nodeId));
    expect(after.map(({ publication, hash }) => [publication, hash])).toEqual(
      before.map(({ publication, hash }) => [publication, hash]),
    );
  });

  it("get other labels' content under a higher number while everything waits after a halt", async () => {
    const fleet = await twoZones();
    await fleet.put("common0", "second");
    await fleet.rollouts.begin(nodeIds);
    await fleet.rollouts.abort("");
    refresh(fleet.channels);
    const before = fleet.given("b");
    await fleet.label("b", { zone: "us" });
    expect(fleet.given("b")).toMatchObject({ hash: fleet.given("d").hash });
    expect(fleet.given("b").publication).toBeGreaterThan(before.publication);
  });

  it("are sent what changes for them when a later stage reaches them, also where none of their labels was reached", async () => {
    const fleet = await twoZones();
    await fleet.put("common0", "second");
    const before = nodeIds.map((nodeId) => fleet.given(nodeId));
    await fleet.rollouts.begin(nodeIds);
    await fleet.advance();
    await fleet.advance();
    for (const [i, nodeId] of nodeIds.entries()) {
      const { publication, cache } = fleet.given(nodeId);
      expect(publication).toBeGreaterThan(before[i]!.publication);
      expect(cache.deltaFrom(before[i]!)).toMatchObject({ basePublication: before[i]!.publication });
    }
  });
});
