import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, expect, it } from "vitest";
import { TicketKeySchema } from "../../proto/gen/penstock/config/v1/certificate_pb.ts";
import { RolloutMode, RolloutPolicySchema } from "../../proto/gen/penstock/config/v1/rollout_pb.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { upstreamWrite } from "../../test/support/resource-write.ts";
import { ScriptedNode } from "../../test/support/scripted-node.ts";
import { until } from "../../test/support/sync-hub-rig.ts";
import { startSyncHub } from "../sync/sync-hub.ts";
import { openLog } from "../telemetry/log.ts";
import { openRollouts } from "./rollouts.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A hub whose changes go stage by stage, and a node that serves all of it. */
async function startStaged() {
  const [store, clock, log] = [new MemoryStore(), new ManualClock(), openLog("fatal")];
  const rollouts = await openRollouts({ store, clock, log });
  const hub = await startSyncHub({
    ...{ store, clock, log, rollouts, closeGraceMs: 50, staleAfterMs: 30_000 },
    listen: [{ host: "127.0.0.1", port: 0 }],
  });
  cleanups.push(() => hub.close());
  const policy = create(RolloutPolicySchema, { mode: RolloutMode.STAGED, stages: [{ nodeCount: 1 }] });
  await rollouts.setPolicy(policy);
  const node = new ScriptedNode(`127.0.0.1:${hub.addresses[0]!.port}`);
  cleanups.push(() => node.close());
  node.hello("n");
  await node.ackNextSnapshot();
  const status = () => hub.fleet.nodes()[0]!;
  await until(hub, () => status().state === "in_sync");
  return { store, clock, rollouts, hub, node, status };
}

it("takes a node for in sync or lagging when a change that waits gives all nodes a new number", async () => {
  const { store, clock, status } = await startStaged();
  const facts = { expectedRevision: null, uniqueKeys: [], references: [] };
  const body = toBinary(TicketKeySchema, create(TicketKeySchema, { id: "k", key: Buffer.from("k") }));
  const key = { kind: "ticket_key", id: "k", operation: "create", body, ...facts } as const;
  clock.advance(60_000);
  await store.transact([upstreamWrite({ id: "u1", name: "u1" }), key], "test");
  expect(status()).toMatchObject({ state: "lagging", lagMs: 0 });
});

it("counts how long a node has been behind from when something new was meant for it", async () => {
  const { store, clock, rollouts, hub, node, status } = await startStaged();
  clock.advance(5_000);
  await store.transact([upstreamWrite({ id: "u1", name: "u1" })], "test");
  clock.advance(60_000);
  expect(status()).toMatchObject({ state: "in_sync", lag: 0, lagMs: null });
  await rollouts.begin([]);
  clock.advance(60_000);
  expect(status()).toMatchObject({ state: "in_sync", lag: 0, lagMs: null });
  expect(await rollouts.promote()).toEqual({ ok: true });
  expect(status()).toMatchObject({ state: "lagging", lagMs: 0 });
  clock.advance(30_001);
  expect(status()).toMatchObject({ state: "stale", lagMs: 30_001 });
  await node.ackNextSnapshot();
  await until(hub, () => status().state === "in_sync");
});
