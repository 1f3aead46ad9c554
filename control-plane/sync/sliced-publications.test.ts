import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { FakeSyncStore } from "../../test/support/fake-sync-store.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { ScriptedNode } from "../../test/support/scripted-node.ts";
import { resourceOf } from "../../test/support/subset-edits.ts";
import { isSettled, startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";
import { noLabels } from "../resource/node-selector.ts";
import { RolloutChannels } from "../rollout/rollout-channels.ts";
import { SubsetChannels } from "../snapshot/subset-channels.ts";
import type { NodeRefusal } from "./quarantine-keeper.ts";
import type { StreamGate } from "./stream-gate.ts";
import type { RolloutsOfHub, StreamHubOptions } from "./stream-hub.ts";

/** A clock whose next turns of the event loop the test takes. */
class TurnClock extends ManualClock {
  readonly #turns: (() => void)[] = [];

  override after(delayMs: number, run: () => void): () => void {
    if (delayMs > 0) return super.after(delayMs, run);
    this.#turns.push(run);
    return () => void this.#turns.splice(this.#turns.indexOf(run), 1);
  }

  get hasTurn(): boolean {
    return this.#turns.length > 0;
  }

  turn(): void {
    this.#turns.shift()?.();
  }

  takeTurns(): void {
    while (this.hasTurn) this.turn();
  }
}

const routeCount = 600;

type SlicedHubOptions = Partial<Pick<StreamHubOptions, "gate" | "rollouts">>;

/** A hub whose publications are made one step in a turn, with what takes some of them. */
async function startSlicedHub(optionsFor: (store: FakeSyncStore) => SlicedHubOptions = () => ({})) {
  const store = new FakeSyncStore();
  for (let i = 0; i < routeCount; i++) store.put(resourceOf("route", { id: `r${i}` }));
  const clock = new TurnClock();
  const refusals: NodeRefusal[] = [];
  const quarantine = { refused: async (refusal: NodeRefusal) => void refusals.push(refusal) };
  const errors: string[] = [];
  const log = Object.assign(pino({ level: "silent" }), {
    error: (_facts: object, message: string) => errors.push(message),
  });
  const rig = await startHub({ store, clock, sliceMs: 0, quarantine, log, ...optionsFor(store) });
  return { ...rig, store, clock, refusals, errors };
}

/** Lets everybody in. */
function openGate(own: Partial<StreamGate>): StreamGate {
  return { connect: () => null, hello: () => null, labelsOf: () => noLabels, refused() {}, closed() {}, ...own };
}

type SlicedRig = Awaited<ReturnType<typeof startSlicedHub>>;

/** A node that holds what the hub has. */
async function serving(rig: SlicedRig, nodeId: string): Promise<ScriptedNode> {
  const node = rig.connect();
  node.hello(nodeId);
  await until(rig.hub, (fleet) => {
    rig.clock.takeTurns();
    return fleet.nodes().length > 0;
  });
  await node.ackNextSnapshot();
  await until(rig.hub, (fleet) => fleet.nodes()[0]?.publication === rig.store.image.publication);
  return node;
}

/** Writes all routes, which takes many steps to publish; some are left. */
function beginLongPublication({ store, clock }: SlicedRig): void {
  for (let i = 0; i < routeCount; i++)
    store.put(resourceOf("route", { id: `r${i}`, tags: [`${store.image.revision}`] }));
  clock.advance(1_000);
  expect(clock.hasTurn).toBe(true);
}

describe("the hub while publications are made in slices", () => {
  it("welcomes a node when they are made, and reads then what it has said since", async () => {
    const rig = await startSlicedHub();
    expect(rig.clock.hasTurn).toBe(true);
    const node = rig.connect();
    node.hello("a");
    node.send({ case: "heartbeat", value: {} });
    node.send({ case: "traffic", value: {} });
    await node.answered;
    await turnsOfTheLoop();
    expect(rig.fleet.nodes()).toEqual([]);
    rig.clock.takeTurns();
    const { begin } = await node.ackNextSnapshot();
    expect(Number(begin.publication)).toBe(rig.store.image.publication);
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.publication === rig.store.image.publication);
  });

  it("keeps what a node has until the next is whole, and has all nodes go on then", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    const node = await serving(rig, "a");
    const before = rig.store.image.publication;
    beginLongPublication(rig);
    while (rig.clock.hasTurn) {
      expect(node.unreadCount("snapshotBegin")).toBe(0);
      expect(rig.fleet.nodes()[0]!.publication).toBe(before);
      rig.clock.turn();
    }
    const { begin } = await node.ackNextSnapshot();
    expect(Number(begin.publication)).toBe(rig.store.image.publication);
  });

  it("takes a node that leaves and comes back meanwhile for one that is there", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    const old = await serving(rig, "a");
    beginLongPublication(rig);
    old.close();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    const node = rig.connect();
    node.hello("a");
    await node.answered;
    await turnsOfTheLoop();
    rig.clock.takeTurns();
    await node.ackNextSnapshot();
    rig.store.put(resourceOf("route", { id: "r0", tags: ["last"] }));
    rig.clock.advance(1_000);
    rig.clock.takeTurns();
    const { begin } = await node.ackNextSnapshot();
    expect(Number(begin.publication)).toBe(rig.store.image.publication);
  });

  it("forgets a node whose stream ends before it is welcomed", async () => {
    const rig = await startSlicedHub();
    const node = rig.connect();
    node.hello("a");
    await node.answered;
    await turnsOfTheLoop();
    node.close();
    await turnsOfTheLoop();
    rig.clock.takeTurns();
    expect(rig.fleet.nodes()).toEqual([]);
  });

  it("has a refusal judged in a turn in which all is published that is stored, whatever is written meanwhile", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    const node = await serving(rig, "a");
    beginLongPublication(rig);
    node.send({ case: "nack", value: { publication: 1n, message: "no" } });
    while (rig.refusals.length === 0) await turnsOfTheLoop();
    const [refusal] = rig.refusals;
    let judgedAt: readonly (number | undefined)[] | null = null;
    const judged = refusal!.refresh().then(() => {
      judgedAt = [refusal!.channel.newest?.publication, rig.store.image.publication];
    });
    rig.clock.turn();
    expect(await isSettled(judged)).toBe(false);
    for (let i = 0; i < routeCount; i++) rig.store.put(resourceOf("route", { id: `r${i}`, tags: ["later"] }));
    rig.clock.takeTurns();
    await judged;
    expect(judgedAt).toEqual([rig.store.image.publication, rig.store.image.publication]);
    expect(rig.errors).toEqual([]);
  });

  it("tries again with the next write what it could not make, and not before", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    const node = await serving(rig, "a");
    const { image } = rig.store;
    const all = image.all;
    Object.assign(image, {
      all: () => {
        throw new Error("planted");
      },
    });
    rig.store.put(resourceOf("route", { id: "r0", tags: ["second"] }));
    rig.clock.advance(1_000);
    rig.clock.takeTurns();
    expect(rig.errors).toEqual(["publications could not be made"]);
    Object.assign(image, { all });
    rig.clock.advance(1_000);
    expect(rig.clock.hasTurn).toBe(false);
    rig.store.put(resourceOf("route", { id: "r0", tags: ["third"] }));
    rig.clock.advance(1_000);
    rig.clock.takeTurns();
    const { begin } = await node.ackNextSnapshot();
    expect(Number(begin.publication)).toBe(image.publication);
  });

  it("has a refusal judged although there is no end of writes", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    const node = await serving(rig, "a");
    node.send({ case: "nack", value: { publication: 1n, message: "no" } });
    while (rig.refusals.length === 0) await turnsOfTheLoop();
    let isJudged = false;
    void rig.refusals[0]!.refresh().then(() => {
      isJudged = true;
    });
    let turnCount = 0;
    for (; !isJudged && turnCount < 1_000; turnCount++) {
      rig.store.put(resourceOf("route", { id: "r0", tags: [String(turnCount)] }));
      rig.clock.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(isJudged).toBe(true);
  });

  it("shows a node that waits a sign of life", async () => {
    const rig = await startSlicedHub();
    const node = rig.connect();
    node.hello("a");
    await node.answered;
    await turnsOfTheLoop();
    for (let i = 0; i < 3; i++) rig.clock.advance(12_000);
    await until(rig.hub, () => node.unreadCount(undefined) === 3);
    expect(rig.fleet.nodes()).toEqual([]);
    rig.clock.takeTurns();
    await node.ackNextSnapshot();
  });

  it("leaves an older stream of a node as it is while a newer one waits, and when that ends", async () => {
    /** As of a gate that watches one stream of each node. */
    let watched: unknown = null;
    const gate = openGate({
      hello: (call) => {
        watched = call;
        return null;
      },
      closed: (call) => {
        if (watched === call) watched = null;
      },
    });
    const rig = await startSlicedHub(() => ({ gate }));
    rig.clock.takeTurns();
    const older = await serving(rig, "a");
    const watchedBefore = watched;
    rig.clock.advance(1_000);
    rig.store.put(resourceOf("route", { id: "r0", tags: ["second"] }));
    rig.clock.takeTurns();
    rig.store.put(resourceOf("route", { id: "r0", tags: ["third"] }));
    const newer = rig.connect();
    newer.hello("a");
    await newer.answered;
    await turnsOfTheLoop();
    expect(rig.clock.hasTurn).toBe(true);
    newer.close();
    await turnsOfTheLoop();
    rig.clock.takeTurns();
    expect(watched).toBe(watchedBefore);
    expect(await isSettled(older.ended)).toBe(false);
  });

  it("looks at what was written once for all who came before their turn", async () => {
    const rig = await startSlicedHub();
    rig.clock.takeTurns();
    await serving(rig, "a");
    beginLongPublication(rig);
    const nodes: ScriptedNode[] = [];
    for (const nodeId of "bcdefghij") {
      const node = rig.connect();
      node.hello(nodeId);
      await node.answered;
      await turnsOfTheLoop();
      nodes.push(node);
    }
    const arrive = vi.spyOn(SubsetChannels.prototype, "arriveSteps");
    rig.clock.takeTurns();
    for (const node of nodes) await node.ackNextSnapshot();
    const together = arrive.mock.calls.map(([arrivals]) => arrivals.map(({ nodeId }) => nodeId).sort());
    arrive.mockRestore();
    expect(together).toEqual([["b", "c", "d", "e", "f", "g", "h", "i"], ["j"]]);
  });

  it("lets nobody in where that cannot be judged, also in the place of one that is there", async () => {
    let isBroken = false;
    const hello = () => {
      if (isBroken) throw new Error("planted");
      return null;
    };
    const rig = await startSlicedHub(() => ({ gate: openGate({ hello }) }));
    rig.clock.takeTurns();
    const older = await serving(rig, "a");
    isBroken = true;
    const newer = rig.connect();
    newer.hello("a");
    await newer.answered;
    await turnsOfTheLoop();
    rig.clock.takeTurns();
    expect(await newer.ended).toMatchObject({ code: 13, details: "the control plane failed on this stream" });
    expect(await isSettled(older.ended)).toBe(false);
  });

  it("gives a node that came while nothing was published nothing until that is made, and keeps its stream", async () => {
    let channels!: RolloutChannels;
    const rollouts = (store: FakeSyncStore): RolloutsOfHub => ({
      channels: (make, betweenSteps) => {
        channels = new RolloutChannels({ store, make, betweenSteps, log: pino({ level: "silent" }) });
        channels.suspend(true);
        return channels;
      },
      ...{ heldBack: () => null, isHolding: false, livePublication: () => null, isGiven: () => true },
      decidedAtUnixMs: 0,
    });
    const rig = await startSlicedHub((store) => ({ rollouts: rollouts(store) }));
    const { store } = rig;
    rig.clock.takeTurns();
    const node = rig.connect();
    node.hello("a");
    await until(rig.hub, (fleet) => {
      rig.clock.takeTurns();
      return fleet.nodes().length > 0;
    });
    channels.suspend(false);
    store.put(resourceOf("route", { id: "last" }));
    expect(rig.clock.hasTurn).toBe(true);
    node.send({ case: "heartbeat", value: { publication: 3n, stateHash: new Uint8Array(32) } });
    await turnsOfTheLoop();
    rig.clock.advance(12_000);
    rig.clock.takeTurns();
    const { begin } = await node.ackNextSnapshot();
    expect(Number(begin.publication)).toBe(store.image.publication);
  });
});
