import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RolloutMode, RolloutPhase, RolloutPolicySchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { nodeStatus } from "../../test/support/node-status.ts";
import { plainRollouts } from "../../test/support/plain-rollouts.ts";
import { upstreamWrite } from "../../test/support/resource-write.ts";
import type { Fleet, NodeNackStatus, NodeStatus } from "../sync/fleet.ts";
import type { NodeFigures } from "../sync/node-figures.ts";
import { openLog } from "../telemetry/log.ts";

type Node = { -readonly [K in keyof NodeStatus]: NodeStatus[K] };

const figures: NodeFigures = {
  ...{ atUnixMs: 0, requestsPerSecond: 0, errorRatio: 0, requestCount: 0, failureCount: 0, connectionCount: 0 },
  ...{ endpointCount: 0, healthyEndpointCount: 0, workers: [], lostWorkerCount: 0 },
};

const nack = { entityKind: "route", entityName: "r", message: "no", reason: "invalid_entity" };

/**
 * A fleet of ten that goes by a policy with times of a minute; nodes serve what they are meant to at once, and tell at
 * each look how they do, or where `telling` has them not, when they serve something.
 */
async function startRig(soakMs = 60_000) {
  const store = new MemoryStore();
  const nodes = Array.from({ length: 10 }, (_, i) => nodeStatus({ id: `n${i}`, upToPublication: 0, figures }) as Node);
  const obeying = new Set(nodes.map(({ id }) => id));
  const telling = new Set(obeying);
  const fleet = { nodes: () => nodes } as unknown as Fleet;
  const { rollouts, clock, admin } = plainRollouts(store, fleet, openLog("fatal"));
  const minute = durationFromMs(60_000);
  const stages = [{ nodeCount: 1 }, { percent: 30 }];
  const policy = { mode: RolloutMode.STAGED, stages, soak: durationFromMs(soakMs), applyTimeout: minute };
  await rollouts.setPolicy(create(RolloutPolicySchema, policy));
  /** Lets time pass; decisions are written in between. */
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 500) {
      const { candidate, baseline } = rollouts.ledger;
      for (const each of nodes) {
        if (!each.isConnected || !obeying.has(each.id)) continue;
        const point = candidate !== null && rollouts.isReached(each.id) ? candidate : baseline;
        each.upToPublication = point?.publication ?? store.image.publication;
      }
      // They tell it also where it is as before.
      for (const each of nodes) if (each.isConnected && telling.has(each.id)) each.figures = { ...each.figures! };
      clock.advance(500);
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    }
  };
  let count = 0;
  const put = (name = "u1") => {
    const isThere = store.image.get("upstream", name) !== undefined;
    const write = upstreamWrite(
      { id: name, name, tags: [`t${count++}`] },
      { operation: isThere ? "update" : "create" },
    );
    store.transactNow([write]);
  };
  /** Requests at each node: so many, and so many of them that fail. */
  const serve = (at: readonly Node[], requests: number, serverErrors = 0) => {
    for (const each of at) {
      const { requestCount, failureCount } = each.figures!;
      const counts = { requestCount: requestCount + requests, failureCount: failureCount + serverErrors };
      each.figures = { ...each.figures!, ...counts };
    }
  };
  return { store, nodes, obeying, telling, rollouts, admin, pass, put, serve, phase: () => admin.status().phase };
}

describe("RolloutDriver", () => {
  it("goes from one node to some to all, watching each stage for its time, and is done", async () => {
    const { admin, pass, put, rollouts } = await startRig();
    put();
    await pass(2_000);
    expect(admin.status()).toMatchObject({ stage: "1 of 3", reachedNodeIds: ["n0"], servingCount: 1 });
    await pass(58_000);
    expect(admin.status().stage).toBe("1 of 3");
    await pass(4_000);
    expect(admin.status()).toMatchObject({ stage: "2 of 3", reachedNodeIds: ["n0", "n1", "n2"] });
    await pass(63_000);
    expect(admin.status()).toMatchObject({ stage: "3 of 3", reachesAll: true, servingCount: 10 });
    await pass(63_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.DONE, baselineRevision: 0, haltedBy: "" });
    expect(rollouts.ledger.baseline).toBeNull();
  });

  it("gathers what is written together, for ten seconds at most", async () => {
    const { rollouts, pass, put, store } = await startRig();
    put("u1");
    await pass(500);
    put("u2");
    await pass(500);
    put("u3");
    const { revision } = store.image;
    await pass(2_000);
    expect(rollouts.ledger.candidate?.revision).toBe(revision);
    await rollouts.promote();
    for (let i = 0; i < 24; i++) {
      put("u1");
      await pass(500);
    }
    expect(rollouts.ledger.candidate).not.toBeNull();
  });

  it("has changes that come meanwhile wait, and rolls them out next", async () => {
    const { rollouts, admin, pass, put } = await startRig();
    put();
    await pass(2_000);
    put();
    expect(admin.status().waitingFromRevision).toBeGreaterThan(0);
    await pass(190_000);
    expect(admin.status()).toMatchObject({ number: 2, phase: RolloutPhase.RUNNING, waitingFromRevision: 0 });
    expect(rollouts.ledger.candidate).not.toBeNull();
  });

  type Rig = Awaited<ReturnType<typeof startRig>>;
  it.each<{ name: string; harm: (rig: Rig) => void; by: string }>([
    {
      name: "a nack",
      harm: ({ nodes, obeying, rollouts }) => {
        obeying.delete("n0");
        const { publication } = rollouts.ledger.candidate!;
        nodes[0]!.lastNack = { ...nack, publication } as NodeNackStatus;
      },
      by: "nack",
    },
    {
      name: "a lost worker",
      harm: ({ nodes }) => {
        nodes[0]!.figures = { ...nodes[0]!.figures!, lostWorkerCount: 1 };
      },
      by: "worker_lost",
    },
    { name: "errors", harm: ({ nodes, serve }) => serve(nodes.slice(0, 1), 100, 20), by: "error_share" },
    {
      name: "a node that goes and does not come back",
      harm: ({ nodes }) => {
        nodes[0]!.isConnected = false;
      },
      by: "not_applied",
    },
  ])("halts for $name, and all are to have what they had", async ({ harm, by }) => {
    const rig = await startRig();
    const { nodes, serve, pass, put, admin, rollouts, store } = rig;
    await pass(6_000);
    serve(nodes, 1_000, 10);
    await pass(10_000);
    const before = store.image.publication;
    put();
    await pass(4_000);
    harm(rig);
    await pass(63_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.HALTED, haltedBy: by, blamedNodeIds: ["n0"] });
    const { baseline, candidate } = rollouts.ledger;
    expect(candidate).toBeNull();
    expect(baseline!.publication).toBeGreaterThan(before + 1);
    await pass(600_000);
    expect(rig.phase()).toBe(RolloutPhase.HALTED);
  });

  it("does not pass a stage before its nodes have told of requests since they serve it", async () => {
    const { nodes, telling, serve, pass, put, admin } = await startRig(100);
    await pass(1_000);
    for (let i = 0; i < 4; i++) {
      serve(nodes, 100, 1);
      await pass(5_000);
    }
    telling.clear();
    put();
    await pass(4_000);
    const waiting = { stage: "1 of 3", waitsFor: "1 of 1 reached nodes to tell of requests since they serve it" };
    expect(admin.status()).toMatchObject(waiting);
    // Of before and after.
    serve(nodes, 100, 1);
    await pass(4_000);
    expect(admin.status()).toMatchObject(waiting);
    serve(nodes, 100, 1);
    await pass(1_000);
    expect(admin.status()).toMatchObject({ stage: "2 of 3" });
    serve(nodes, 100, 1);
    await pass(1_000);
    serve(nodes.slice(0, 2), 100, 20);
    await pass(1_000);
    serve(nodes.slice(2), 100, 20);
    await pass(1_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.HALTED, haltedBy: "error_share" });
  });

  it("waits neither for ever for a node that falls silent, which it halts for, nor for those that never tell", async () => {
    const { nodes, telling, pass, put, admin } = await startRig(100);
    for (const each of nodes) each.figures = null;
    telling.clear();
    put();
    await pass(30_000);
    expect(admin.status()).toMatchObject({ stage: "1 of 3" });
    await pass(150_000 + 10_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.DONE });
    nodes[0]!.figures = figures;
    put();
    await pass(70_000);
    expect(admin.status()).toMatchObject({ haltedBy: "no_stats", blamedNodeIds: ["n0"] });
  });

  it("halts for a node that comes and goes, when it was away for so long all together", async () => {
    const { nodes, pass, put, rollouts } = await startRig();
    put();
    await pass(3_000);
    for (let flaps = 0; flaps < 19; flaps++) {
      nodes[0]!.isConnected = false;
      await pass(3_000);
      nodes[0]!.isConnected = true;
      await pass(5_000);
    }
    expect(rollouts.ledger.rollout).toMatchObject({ phase: RolloutPhase.RUNNING, stage: 0 });
    nodes[0]!.isConnected = false;
    await pass(5_000);
    expect(rollouts.ledger.rollout).toMatchObject({ phase: RolloutPhase.HALTED, haltedBy: "not_applied" });
  });

  it("does not halt for errors that were there before, nor for a delta that did not fit", async () => {
    const { nodes, serve, pass, put, admin, rollouts } = await startRig();
    await pass(1_000);
    serve(nodes, 1_000, 50);
    await pass(10_000);
    put();
    await pass(4_000);
    serve(nodes, 1_000, 50);
    const { publication } = rollouts.ledger.candidate!;
    nodes[0]!.lastNack = { ...nack, reason: "unknown_base", publication } as NodeNackStatus;
    await pass(60_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.RUNNING, stage: "2 of 3" });
  });

  it("goes no further while it is paused, but halts; goes on when it is resumed, and watches the stage anew", async () => {
    const { nodes, serve, pass, put, admin } = await startRig();
    put();
    await pass(4_000);
    expect(await admin.pause()).toEqual({ ok: true });
    await pass(200_000);
    expect(admin.status()).toMatchObject({ stage: "1 of 3", waitsFor: "a person to resume it" });
    expect(await admin.resume()).toEqual({ ok: true });
    await pass(50_000);
    expect(admin.status().stage).toBe("1 of 3");
    await admin.pause();
    serve(nodes.slice(1), 100);
    await pass(1_000);
    serve(nodes.slice(1), 100);
    serve(nodes.slice(0, 1), 100, 50);
    await pass(1_000);
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.HALTED, haltedBy: "error_share" });
  });

  it("waits for a node where none is connected, and takes the first that comes", async () => {
    const { nodes, pass, put, admin } = await startRig();
    for (const each of nodes) each.isConnected = false;
    put();
    await pass(70_000);
    expect(admin.status()).toMatchObject({ stage: "1 of 3", reachedNodeIds: [], waitsFor: "a node to connect" });
    nodes[7]!.isConnected = true;
    await pass(1_000);
    expect(admin.status().reachedNodeIds).toEqual(["n7"]);
  });

  it("holds nothing back any more when what a halted rollout had changed is taken back", async () => {
    const { store, pass, admin, rollouts } = await startRig();
    const name = "u1";
    const first = upstreamWrite({ id: name, name });
    store.transactNow([first]);
    await pass(190_000);
    store.transactNow([upstreamWrite({ id: name, name, tags: ["bad"] }, { operation: "update" })]);
    await pass(2_000);
    await admin.abort("bad");
    store.transactNow([{ ...first, operation: "update" }]);
    await pass(3_000);
    expect(rollouts.ledger.baseline).toBeNull();
    expect(admin.status()).toMatchObject({ phase: RolloutPhase.DONE, reason: "what waited was taken back" });
  });

  it("tries again when the store did not take a decision", async () => {
    const { store, pass, put, admin } = await startRig();
    put();
    store.refuseWith = { type: "unavailable", message: "full" };
    await pass(5_000);
    expect(admin.status().number).toBe(0);
    store.refuseWith = null;
    await pass(1_000);
    expect(admin.status()).toMatchObject({ number: 1, phase: RolloutPhase.RUNNING });
  });
});
