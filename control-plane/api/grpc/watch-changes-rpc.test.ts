import { toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import { UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { ChangeKind } from "../../../proto/gen/penstock/admin/v1/write_result_pb.ts";
import { TargetSchema } from "../../../proto/gen/penstock/config/v1/target_pb.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";
import { watchChanges, watchQueueMaxCount } from "./watch-changes-rpc.ts";

const { createUpstream, updateUpstream, deleteUpstream, getUpstream, watchUpstreams } = UpstreamsAPI.method;
const { createTarget, watchTargets } = TargetsAPI.method;
const { EXISTING, CREATED, UPDATED, DELETED } = ChangeKind;

let rig: RpcRig;
beforeEach(async () => {
  rig = await startRpcRig();
});
afterEach(() => rig.close());

const create = (name: string) => rig.call(createUpstream, { upstream: { name } });
const rename = (from: { upstream: { id: string } }, name: string) =>
  rig.call(updateUpstream, { upstream: { id: from.upstream.id, name } });

function watch(fromRevision: number) {
  const stream = rig.stream(watchUpstreams);
  stream.end({ fromRevision: BigInt(fromRevision) });
  return {
    ...stream,
    async take(count: number) {
      const seen = [];
      for (let i = 0; i < count; i++) {
        const { kind, upstream, revision, ...rest } = await stream.next();
        seen.push(upstream === undefined ? rest : [kind, upstream.name, Number(revision)]);
      }
      return seen;
    },
  };
}

describe("watchChanges", () => {
  it("tells what there is, then what changes", async () => {
    const first = await create("a");
    await create("b");
    const watcher = watch(0);
    expect((await watcher.take(2)).sort()).toEqual([
      [EXISTING, "a", 2],
      [EXISTING, "b", 2],
    ]);
    await create("c");
    await rename(first, "a2");
    await rig.call(deleteUpstream, { idOrName: "b" });
    expect(await watcher.take(3)).toEqual([
      [CREATED, "c", 3],
      [UPDATED, "a2", 4],
      [DELETED, "b", 5],
    ]);
  });

  it("tells the changes since a revision, then the new ones", async () => {
    const first = await create("a");
    await rename(first, "b");
    await rename(first, "c");
    const watcher = watch(1);
    expect(await watcher.take(2)).toEqual([
      [UPDATED, "b", 2],
      [UPDATED, "c", 3],
    ]);
    await create("d");
    expect(await watcher.take(1)).toEqual([[CREATED, "d", 4]]);
  });

  it("gives the etag that a read gives", async () => {
    await create("a");
    const existing = await watch(0).next();
    const changed = watch(1);
    await rig.call(updateUpstream, { upstream: { name: "a", tags: ["t"] } });
    expect(existing.upstream.etag).not.toBe("");
    const read = await rig.call(getUpstream, { idOrName: "a" });
    expect((await changed.next()).upstream).toEqual(read.upstream);
  });

  it("neither skips nor repeats what is written while it catches up", async () => {
    const signal = new AbortController().signal;
    for (let i = 0; i < 20; i++) await create(`u${i}`);
    // Each page of the log takes turns, in which others write.
    const { readChanges } = rig.store;
    let page = 0;
    rig.store.readChanges = async (after, _max) => {
      await create(`late${page++}`);
      return readChanges.call(rig.store, after, 3);
    };
    const revisions = [];
    for await (const { revision } of watchChanges(rig.store, { kind: "upstream", fromRevision: 5, signal })) {
      revisions.push(revision);
      if (page > 3 && revision === rig.store.image.revision) break;
    }
    expect(revisions).toEqual(Array.from({ length: rig.store.image.revision - 5 }, (_, i) => 6 + i));
  });

  it("follows the targets of one upstream only, and sees them leave and enter", async () => {
    const a = await create("a");
    const b = await create("b");
    const { target } = await rig.call(createTarget, { upstream: "a", target: { target: "x:1" } });
    await rig.call(createTarget, { upstream: "b", target: { target: "y:1" } });
    const inA = rig.stream(watchTargets);
    inA.end({ upstream: "a" });
    const inB = rig.stream(watchTargets);
    inB.end({ upstream: b.upstream.id });
    expect(await inA.next()).toMatchObject({ kind: EXISTING, target: { target: "x:1" } });
    expect(await inB.next()).toMatchObject({ kind: EXISTING, target: { target: "y:1" } });
    const moved = { ...target, upstream: { ...target.upstream, id: b.upstream.id }, etag: "" };
    rig.store.transactNow([
      {
        kind: "target",
        id: target.id,
        operation: "update",
        body: toBinary(TargetSchema, moved),
        expectedRevision: null,
        uniqueKeys: ["moved"],
        references: [{ kind: "upstream", id: b.upstream.id }],
      },
    ]);
    expect(await inA.next()).toMatchObject({ kind: DELETED, target: { upstream: { id: a.upstream.id } } });
    expect(await inB.next()).toMatchObject({ kind: CREATED, target: { upstream: { id: b.upstream.id } } });
    const nowhere = rig.stream(watchTargets);
    nowhere.end({ upstream: "no" });
    expect(await nowhere.next()).toMatchObject({ code: Code.NotFound });
  });

  it("is out of range for the forgotten past and for the future", async () => {
    await create("a");
    await create("b");
    expect(await watch(3).next()).toMatchObject({ code: Code.OutOfRange });
    const largest = rig.stream(watchUpstreams);
    largest.end({ fromRevision: 2n ** 63n - 1n });
    expect(await largest.next()).toMatchObject({ code: Code.OutOfRange });
    rig.store.readChanges = async () => null;
    expect(await watch(1).next()).toMatchObject({ code: Code.OutOfRange });
    const negative = rig.stream(watchUpstreams);
    negative.end({ fromRevision: -1n });
    expect(await negative.next()).toMatchObject({ code: Code.InvalidArgument });
  });

  it("ends a watcher that does not read, and keeps nothing for it", async () => {
    const { signal } = new AbortController();
    await create("a");
    const watcher = watchChanges(rig.store, { kind: "upstream", fromRevision: 0, signal });
    await watcher.next();
    const { upstream } = await create("b");
    expect(await watcher.next()).toMatchObject({ value: { change: CREATED } });
    for (let i = 0; i <= watchQueueMaxCount; i++)
      rig.store.transactNow([
        {
          kind: "upstream",
          id: upstream.id,
          operation: "update",
          body: rig.store.image.get("upstream", upstream.id)!.body,
          expectedRevision: null,
          uniqueKeys: ["name:b"],
          references: [],
        },
      ]);
    await expect(watcher.next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    expect(await watcher.next()).toEqual({ done: true, value: undefined });
  });

  it("stops listening to the store when the client cancels", async () => {
    let listenerCount = 0;
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
    const { onCommit } = rig.store;
    rig.store.onCommit = (listener) => {
      listenerCount++;
      const unsubscribe = onCommit.call(rig.store, listener);
      return () => {
        unsubscribe();
        if (--listenerCount === 0) stop();
      };
    };
    await create("a");
    const watchers = [watch(0), watch(0)];
    for (const watcher of watchers) await watcher.next();
    expect(listenerCount).toBe(2);
    for (const watcher of watchers) await watcher.cancel();
    await stopped;
    expect(rig.errors).toEqual([]);
  });

  it("ends with UNAVAILABLE when the control plane shuts down", async () => {
    await create("a");
    const watcher = watch(0);
    await watcher.next();
    rig.shutDown();
    expect(await watcher.next()).toMatchObject({ code: Code.Unavailable });
  });
});
