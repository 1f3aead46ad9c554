import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TicketKeySchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { HealthOverrideSchema } from "../../proto/gen/penstock/config/v1/health_override_pb.ts";
import { RolloutMode, RolloutPhase, RolloutPolicySchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { StateHash } from "../../proto/state-hash.ts";
import { channelFor, refresh } from "../../test/support/channels-at-once.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { deleteWrite, targetWrite, upstreamWrite } from "../../test/support/resource-write.ts";
import type { PublishedSource } from "../snapshot/channel.ts";
import { SubsetChannels } from "../snapshot/subset-channels.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import { openLog } from "../telemetry/log.ts";
import { orderedStore, orderWrite, withOrder } from "./rollout-order.ts";
import { isUnderWay, nextStage } from "./rollout-steps.ts";
import { openRollouts, type Rollouts } from "./rollouts.ts";

const log = openLog("fatal");
const nodeIds = ["a", "b", "c", "d"];
const limits = { publicationMaxCount: 100, changeMaxCount: 1_000 };

const noLabels = {};
const subsetsOf = (source: PublishedSource) =>
  new SubsetChannels({
    ...{ source, ringLimits: limits, log, clock: new ManualClock(), graceMs: 1_000 },
    labelsOf: () => noLabels,
  });

interface Held {
  readonly publication: number;
  readonly hash: string;
}

/** A store, its rollouts, and what each node gets of them. */
class Fleet {
  readonly memory = new MemoryStore();
  readonly clock = new ManualClock();
  store: Store = this.memory;
  rollouts!: Rollouts;
  #channels!: ReturnType<Rollouts["channels"]>;
  /** The upstreams at each revision. */
  readonly #history = new Map<number, ReadonlyMap<string, Uint8Array>>([[0, new Map()]]);
  readonly #held = new Map<string, Held>();

  constructor() {
    this.memory.onCommit(({ revision }) => {
      const upstreams = [...this.memory.image.all("upstream")].map(({ id, body }) => [id, body] as const);
      this.#history.set(revision, new Map(upstreams));
    });
  }

  /** As a control plane that starts on what is stored. */
  async start(): Promise<void> {
    this.rollouts?.close();
    this.rollouts = await openRollouts({ store: this.memory, clock: this.clock, log });
    this.#channels = this.rollouts.channels(subsetsOf, (change) => change());
    this.store = orderedStore(this.memory, this.rollouts);
  }

  /** What a node gets now. Fails where it would not take it, or where it is another content under the same number. */
  given(nodeId: string): Held {
    refresh(this.#channels);
    const { publication, stateHash } = channelFor(this.#channels, nodeId).newest!;
    const given = { publication, hash: Buffer.from(stateHash).toString("hex") };
    const held = this.#held.get(nodeId) ?? given;
    if (given.hash === held.hash) expect(given.publication).toBeGreaterThanOrEqual(held.publication);
    else expect(given.publication).toBeGreaterThan(held.publication);
    this.#held.set(nodeId, given);
    return given;
  }

  /** The hash of what was stored at a revision, with what is always live as it is now. */
  hashAt(revision: number): string {
    const hash = new StateHash();
    for (const [id, body] of this.#history.get(revision)!) hash.set({ kind: "upstream", id, body });
    for (const { kind, id, body } of this.memory.image.all("ticket_key")) hash.set({ kind, id, body });
    return Buffer.from(hash.digest()).toString("hex");
  }

  async put(name: string, text: string, order?: "staged" | "immediate"): Promise<void> {
    const isThere = this.memory.image.get("upstream", name) !== undefined;
    const write = upstreamWrite({ id: name, name, tags: [text] }, { operation: isThere ? "update" : "create" });
    await this.write(write, order);
  }

  async write(write: ResourceWrite, order?: "staged" | "immediate"): Promise<void> {
    const run = () => this.store.transact([write], "test");
    expect(await (order === undefined ? run() : withOrder(order, run))).toMatchObject({ ok: true });
  }

  async rotateTicketKey(text: string): Promise<void> {
    const isThere = this.memory.image.get("ticket_key", "k") !== undefined;
    const body = toBinary(TicketKeySchema, create(TicketKeySchema, { id: "k", key: Buffer.from(text) }));
    const facts = { expectedRevision: null, uniqueKeys: [], references: [] };
    await this.write({ kind: "ticket_key", id: "k", operation: isThere ? "update" : "create", body, ...facts });
  }

  /** Has changes committed after the next decision was made and before it is stored. */
  slipIn(...puts: readonly (readonly [name: string, text: string, order: "staged" | "immediate"])[]): void {
    const { memory } = this;
    memory.beforeTransact = (decided) => {
      if (!decided.some(({ kind }) => kind === "rollout")) return;
      memory.beforeTransact = null;
      for (const [name, text, order] of puts) {
        const operation = memory.image.get("upstream", name) === undefined ? "create" : "update";
        const write = upstreamWrite({ id: name, name, tags: [text] }, { operation });
        expect(memory.transactNow([write, orderWrite(memory, order)])).toMatchObject({ ok: true });
      }
    };
  }

  async setStaged(mode: RolloutMode = RolloutMode.STAGED): Promise<void> {
    const policy = create(RolloutPolicySchema, { mode, stages: [{ nodeCount: 1 }, { nodeCount: 2 }] });
    expect(await this.rollouts.setPolicy(policy)).toMatchObject({ ok: true });
  }

  advance(): Promise<boolean> {
    return this.rollouts.step((rollout, nowMs) => (isUnderWay(rollout) ? nextStage(rollout, nodeIds, nowMs) : null));
  }

  /** Every node gets what the ledger says. */
  check(): void {
    const { baseline, candidate } = this.rollouts.ledger;
    const revision = this.memory.image.revision;
    for (const nodeId of nodeIds) {
      const point = candidate !== null && this.rollouts.isReached(nodeId) ? candidate : baseline;
      const given = this.given(nodeId);
      expect(given.hash).toBe(this.hashAt(point?.revision ?? revision));
      expect(given.publication).toBe(point?.publication ?? this.memory.image.publication);
    }
  }
}

async function startFleet(): Promise<Fleet> {
  const fleet = new Fleet();
  await fleet.put("u1", "first");
  await fleet.start();
  fleet.check();
  return fleet;
}

describe("Rollouts", () => {
  it("gives every change to all at once where nobody says otherwise", async () => {
    const fleet = await startFleet();
    await fleet.put("u1", "second");
    fleet.check();
    expect(fleet.rollouts.ledger).toMatchObject({ baseline: null, rollout: null });
  });

  it("gives a change to the reached nodes alone, under one number, and to all when it is done", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    const before = fleet.given("a");
    await fleet.put("u1", "second");
    expect(nodeIds.map((id) => fleet.given(id))).toEqual(nodeIds.map(() => before));
    await fleet.rollouts.begin(nodeIds);
    const first = fleet.given("a");
    expect(fleet.given("b")).toEqual(before);
    await fleet.advance();
    expect([fleet.given("a"), fleet.given("b"), fleet.given("c")]).toEqual([first, first, before]);
    await fleet.advance();
    expect(nodeIds.map((id) => fleet.given(id))).toEqual(nodeIds.map(() => first));
    fleet.check();
    expect(await fleet.rollouts.promote()).toEqual({ ok: true });
    fleet.check();
    expect(fleet.given("d").hash).toBe(first.hash);
  });

  it("returns all to what they had, under a higher number, and holds back all that follows until somebody decides", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    await fleet.put("u1", "second");
    await fleet.rollouts.begin(nodeIds);
    const before = fleet.given("b");
    const reached = fleet.given("a");
    expect(await fleet.rollouts.abort("")).toEqual({ ok: true });
    const after = fleet.given("a");
    expect(after.hash).toBe(before.hash);
    expect(after.publication).toBeGreaterThan(reached.publication);
    expect(nodeIds.map((id) => fleet.given(id))).toEqual(nodeIds.map(() => after));
    await fleet.put("u2", "third", "immediate");
    expect(fleet.given("a")).toEqual(after);
    expect(await fleet.rollouts.promote()).toEqual({ ok: true });
    fleet.check();
    expect(fleet.given("a").hash).toBe(fleet.hashAt(fleet.memory.image.revision));
  });

  it("begins another rollout of all that waits after a halt when somebody says so", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    await fleet.put("u1", "second");
    await fleet.rollouts.begin(nodeIds);
    await fleet.rollouts.abort("no good");
    await fleet.put("u1", "repaired");
    expect(await fleet.rollouts.resume(nodeIds)).toEqual({ ok: true });
    expect(fleet.rollouts.ledger.rollout).toMatchObject({ number: 2n, phase: RolloutPhase.RUNNING, haltedBy: "" });
    expect(fleet.given("a").hash).toBe(fleet.hashAt(fleet.rollouts.ledger.candidate!.revision));
    fleet.check();
  });

  it("holds nothing back any more when what waits was taken back by writing", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    await fleet.put("u1", "second");
    await fleet.rollouts.begin(nodeIds);
    await fleet.rollouts.abort("");
    expect(await fleet.rollouts.release()).toBe(false);
    await fleet.put("u1", "first");
    expect(fleet.rollouts.isTakenBack).toBe(true);
    expect(await fleet.rollouts.release()).toBe(true);
    expect(fleet.rollouts.ledger.baseline).toBeNull();
    fleet.check();
  });

  it("goes by what a write says of itself, durably", async () => {
    const fleet = await startFleet();
    await fleet.put("u1", "second", "staged");
    expect(fleet.rollouts.ledger.waiting).not.toBeNull();
    fleet.check();
    await fleet.start();
    expect(fleet.rollouts.ledger.waiting).not.toBeNull();
    fleet.check();
  });

  it("says of a revision whether it waits, is rolled out, or is live", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    await fleet.put("u1", "second");
    const { revision } = fleet.memory.image;
    expect(fleet.rollouts.heldBack(revision)).toBe("waiting");
    await fleet.rollouts.begin(nodeIds);
    expect(fleet.rollouts.heldBack(revision)).toBe("rolling-out");
    // The decision to begin has a revision of its own, which is nobody's to wait for.
    expect([fleet.rollouts.heldBack(fleet.memory.image.revision), fleet.rollouts.isHolding]).toEqual([null, true]);
    await fleet.rotateTicketKey("k");
    expect(fleet.rollouts.heldBack(fleet.memory.image.revision)).toBeNull();
    expect(fleet.rollouts.livePublication(fleet.memory.image.revision)).toBe(fleet.memory.image.publication);
    await fleet.put("u2", "third");
    expect(fleet.rollouts.heldBack(fleet.memory.image.revision)).toBe("waiting");
    expect(fleet.rollouts.heldBack(1)).toBeNull();
    await fleet.rollouts.abort("");
    expect([fleet.rollouts.heldBack(revision), fleet.rollouts.isHolding]).toEqual(["waiting", true]);
    await fleet.rollouts.promote();
    expect([fleet.rollouts.heldBack(revision), fleet.rollouts.isHolding]).toEqual([null, false]);
  });

  it("takes nothing back that went to all while it wrote down anew that nothing waits, also after a restart", async () => {
    const fleet = await startFleet();
    await fleet.rollouts.ensureRecord();
    fleet.clock.advance(8 * 86_400_000);
    fleet.slipIn(["u2", "at once", "immediate"], ["u3", "by stages", "staged"]);
    await fleet.rollouts.renewRecord();
    const { revision } = fleet.memory.image;
    expect(fleet.rollouts.ledger).toMatchObject({ baseline: { revision: revision - 2, publication: revision } });
    fleet.check();
    expect(fleet.given("a").hash).toBe(fleet.hashAt(revision - 2));
    await fleet.start();
    expect(fleet.rollouts.ledger).toMatchObject({ baseline: { revision: revision - 2, publication: revision } });
    fleet.check();
  });

  it("comes after a restart to what was promoted without any rollout", async () => {
    const fleet = await startFleet();
    await fleet.put("u2", "by stages", "staged");
    fleet.slipIn(["u3", "while others wait", "immediate"], ["u2", "by stages, too", "staged"]);
    expect(await fleet.rollouts.promote()).toEqual({ ok: true });
    const before = fleet.given("a");
    await fleet.start();
    expect(fleet.given("a")).toEqual(before);
  });

  it.each(["pause", "resume", "promote", "abort"] as const)(
    "has nothing to %s where nothing is under way",
    async (what) => {
      const { rollouts } = await startFleet();
      const commanded = what === "resume" ? rollouts.resume(nodeIds) : rollouts[what]("");
      expect(await commanded).toMatchObject({ ok: false });
    },
  );

  it("gives nodes nothing new when the history that it needs is gone, until somebody promotes", async () => {
    const fleet = await startFleet();
    await fleet.setStaged();
    await fleet.put("u1", "second");
    await fleet.rollouts.begin(nodeIds);
    const { memory, clock } = fleet;
    const store = {
      ...{ epoch: memory.epoch, image: memory.image, readChanges: async () => null },
      transact: memory.transact.bind(memory),
      onCommit: memory.onCommit.bind(memory),
    };
    const rollouts = await openRollouts({ store, clock, log });
    const channels = rollouts.channels(subsetsOf, (change) => change());
    const newest = () => {
      refresh(channels);
      return channelFor(channels, "a").newest;
    };
    expect([rollouts.isLost, newest()]).toEqual([true, null]);
    await fleet.put("u1", "third");
    expect(newest()).toBeNull();
    expect(await rollouts.abort("")).toMatchObject({ ok: false });
    expect(await rollouts.promote()).toEqual({ ok: true });
    expect(newest()).toMatchObject({ publication: memory.image.publication });
  });

  it("keeps what was decided of a target's health for as long as nodes have the target, also after a restart", async () => {
    const fleet = await startFleet();
    await fleet.write(targetWrite({ id: "t1", target: "127.0.0.1:1", upstreamId: "u1" }));
    const body = toBinary(HealthOverrideSchema, create(HealthOverrideSchema, { id: "o1", target: { id: "t1" } }));
    const facts = { expectedRevision: null, uniqueKeys: [], references: [] };
    await fleet.write({ kind: "health_override", id: "o1", operation: "create", body, ...facts });
    await fleet.setStaged();
    const before = fleet.given("b");
    const removal = [deleteWrite("target", "t1"), deleteWrite("health_override", "o1")];
    expect(await fleet.store.transact(removal, "test")).toMatchObject({ ok: true });
    expect(fleet.given("b").hash).toBe(before.hash);
    await fleet.rollouts.begin(nodeIds);
    expect(fleet.given("a").hash).not.toBe(before.hash);
    expect(fleet.given("b").hash).toBe(before.hash);
    await fleet.start();
    expect(fleet.given("b").hash).toBe(before.hash);
    expect(await fleet.rollouts.promote()).toEqual({ ok: true });
    expect(fleet.given("b").hash).toBe(fleet.given("a").hash);
  });

  it("refuses a policy that is none, with all that is wrong", async () => {
    const { rollouts } = await startFleet();
    const policy = create(RolloutPolicySchema, {
      mode: 7 as RolloutMode,
      stages: [{ percent: 101 }, {}],
      soak: durationFromMs(1),
      errorShareTolerance: 2,
    });
    const set = await rollouts.setPolicy(policy);
    const fields = set.ok ? [] : set.problems.map(({ field }) => field);
    expect(fields).toEqual(["mode", "stages.0.percent", "stages.1", "soak", "error_share_tolerance"]);
  });

  type Act = readonly [what: string, which: number];
  const acts = ["put", "stage", "hurry", "remove", "ticket", "begin", "advance", "pause", "resume", "abort", "promote"];
  const more = ["put", "begin", "advance", "policy", "release", "renew", "slip"];
  const act = fc.tuple(fc.constantFrom(...acts, ...more), fc.nat({ max: 3 }));

  it("whatever is written and decided in whatever order: no node is to go back or gets two contents under one number, and a restart changes nothing", {
    timeout: 60_000,
  }, async () => {
    const run = async (list: readonly Act[]) => {
      const fleet = await startFleet();
      await fleet.setStaged();
      for (const [i, [what, which]] of list.entries()) {
        const { rollouts } = fleet;
        const name = `u${which}`;
        if (what === "put") await fleet.put(name, `text ${i % 5}`);
        if (what === "stage") await fleet.put(name, `text ${i}`, "staged");
        if (what === "hurry") await fleet.put(name, `text ${i}`, "immediate");
        if (what === "remove" && fleet.memory.image.get("upstream", name))
          await fleet.write(deleteWrite("upstream", name));
        if (what === "ticket") await fleet.rotateTicketKey(`key ${i}`);
        if (what === "policy") await fleet.setStaged(which === 0 ? RolloutMode.IMMEDIATE : RolloutMode.STAGED);
        const isHalted = rollouts.ledger.rollout?.phase === RolloutPhase.HALTED;
        if (what === "begin" && !isHalted) await rollouts.begin(nodeIds);
        if (what === "advance") await fleet.advance();
        if (what === "pause") await rollouts.pause();
        if (what === "resume") await rollouts.resume(nodeIds);
        if (what === "abort") await rollouts.abort("");
        if (what === "promote") await rollouts.promote();
        if (what === "release") await rollouts.release();
        if (what === "slip")
          fleet.slipIn(
            [name, `slipped ${i}`, which < 2 ? "immediate" : "staged"],
            ["u0", `slipped too ${i}`, which % 2 === 0 ? "immediate" : "staged"],
          );
        if (what === "renew") {
          fleet.clock.advance(8 * 86_400_000);
          await rollouts.renewRecord();
        }
        fleet.check();
        const { ledger } = rollouts;
        if (ledger.rollout !== null && !isUnderWay(ledger.rollout)) {
          const given = new Set(nodeIds.map((id) => JSON.stringify(fleet.given(id))));
          expect(given.size).toBe(1);
        }
        if (which === 3) {
          const before = nodeIds.map((id) => fleet.given(id));
          await fleet.start();
          const { rollout: _, ...points } = fleet.rollouts.ledger;
          expect(points).toEqual({ ...ledger, rollout: undefined });
          expect(nodeIds.map((id) => fleet.given(id))).toEqual(before);
        }
        if (which === 2) fleet.rollouts.join();
        fleet.check();
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 30 }), run), { numRuns: 300 });
  });
});
