import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { all, isSettled, keepingUp, startHub, until } from "../../test/support/sync-hub-rig.ts";

describe("AppliedWaits", () => {
  it("resolves at once without nodes", async () => {
    const { hub, store } = await startHub();
    const revision = store.putUpstream("u1");
    expect(await hub.fleet.waitForRevision(revision, all)).toEqual({ appliedCount: 0, nodeCount: 0 });
  });

  it("waits for a node that never acks 1 s, then not again until it has caught up", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const healthy = await connectServing("healthy");
    const stopped = await connectServing("stopped");
    clock.advance(1_000);

    const first = store.putUpstream("u1");
    const waited = hub.fleet.waitForRevision(first, keepingUp);
    await healthy.ackNextSnapshot();
    const missedPush = await stopped.nextSnapshot();
    await until(hub, (fleet) => fleet.nodes()[0]?.revision === first);
    expect(await isSettled(waited)).toBe(false);
    clock.advance(1_000);
    expect(await waited).toEqual({ appliedCount: 1, nodeCount: 2 });

    const second = store.putUpstream("u2");
    const unwaited = hub.fleet.waitForRevision(second, keepingUp);
    await healthy.ackNextSnapshot();
    expect(await unwaited).toEqual({ appliedCount: 1, nodeCount: 2 });

    stopped.ack(missedPush.begin);
    await stopped.ackNextSnapshot();
    await until(hub, (fleet) => fleet.nodes()[1]?.revision === second);
    clock.advance(1_000);
    const third = store.putUpstream("u3");
    const waitedAgain = hub.fleet.waitForRevision(third, keepingUp);
    await healthy.ackNextSnapshot();
    await stopped.ackNextSnapshot();
    expect(await waitedAgain).toEqual({ appliedCount: 2, nodeCount: 2 });
  });

  it("waits for every open stream when asked for all, up to the timeout", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const healthy = await connectServing("healthy");
    const stopped = await connectServing("stopped");
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    const waited = hub.fleet.waitForRevision(revision, { who: "all", timeoutMs: 30_000 });
    await healthy.ackNextSnapshot();
    await stopped.nextSnapshot();
    clock.advance(29_999);
    expect(await isSettled(waited)).toBe(false);
    clock.advance(1);
    expect(await waited).toEqual({ appliedCount: 1, nodeCount: 2 });
  });

  it("says how it stands where nobody waits any more, and keeps nothing of it", async () => {
    const { hub, store, clock, connectServing } = await startHub({ waitMaxCount: 1 });
    await connectServing("n1");
    clock.advance(1_000);
    const revision = store.putUpstream("u1");
    const caller = new AbortController();
    const waited = hub.fleet.waitForRevision(revision, { ...all, signal: caller.signal });
    expect(await isSettled(waited)).toBe(false);
    caller.abort();
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect(await hub.fleet.waitForRevision(revision, { ...all, signal: caller.signal })).toMatchObject({
      nodeCount: 1,
    });
    // There is room for this one again.
    expect(await isSettled(hub.fleet.waitForRevision(revision, all))).toBe(false);
  });

  it("stops waiting for a node whose stream ends", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const waited = hub.fleet.waitForRevision(store.putUpstream("u1"), all);
    node.close();
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 0 });
  });

  it("answers everybody when the hub closes", async () => {
    const { hub, store, clock, connectServing } = await startHub();
    const node = await connectServing("n1");
    clock.advance(1_000);
    const waited = hub.fleet.waitForRevision(store.putUpstream("u1"), all);
    await hub.close();
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 1 });
    expect((await node.ended).code).toBe(status.UNAVAILABLE);
  });
});
