import { once } from "node:events";
import { Code } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { TargetsAPI } from "../../../proto/gen/penstock/admin/v1/targets_pb.ts";
import { UpstreamsAPI } from "../../../proto/gen/penstock/admin/v1/upstreams_pb.ts";
import { granted, targetDraft, upstreamDraft } from "../../../test/support/drafts.ts";
import { type RpcFailure, type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";
import type { NodeQuestion } from "../../sync/fleet.ts";

const { deleteTarget, updateTarget } = TargetsAPI.method;
const drain = { seconds: 30n };
const target = "10.0.0.1:80";
const key = { upstream: "u", idOrTarget: target };

let rig: RpcRig;

beforeEach(async () => {
  rig = await startRpcRig();
  onTestFinished(() => rig.close());
  granted(await rig.admin.upstream.create(upstreamDraft({ name: "u" })));
  granted(await rig.admin.target.create(targetDraft({ target }), "u"));
});

const failureOf = (call: Promise<unknown>): Promise<RpcFailure> =>
  call.then(
    () => Promise.reject(new Error("it was not refused")),
    (failure: RpcFailure) => failure,
  );

const answer = (nodeId: string, inFlight: number) => ({
  nodeId,
  hostname: nodeId,
  answered: { ok: true as const, body: Buffer.from(JSON.stringify({ inFlight })) },
});

describe("a target that is taken out of use with a drain over gRPC", () => {
  it("is deleted at once, and the answer comes when every node is done", async () => {
    rig.fleet.applied = Promise.resolve({ appliedCount: 2, nodeCount: 2 });
    rig.fleet.answers = [answer("a", 0), answer("b", 0)];
    const upstreamId = granted(rig.admin.upstream.get({ key: "u" })).id;
    const deleted = await rig.call(deleteTarget, { ...key, drain });
    expect(deleted.drain).toMatchObject({ appliedCount: 2, nodeCount: 2, drainedCount: 2, askedCount: 2 });
    const revision = Number(deleted.revision);
    expect(rig.fleet.waits).toMatchObject([[revision, { who: "all", timeoutMs: 30_000 }]]);
    const [question] = rig.fleet.questions;
    expect(question).toMatchObject({ kind: "drained", revision });
    const body = JSON.parse(Buffer.from(question!.body).toString());
    expect(body).toMatchObject({ upstreamId, target });
    expect(body.timeoutMs).toBeLessThanOrEqual(30_000);
    expect(rig.store.image.count("target")).toBe(0);
  });

  it("keeps its place with weight 0", async () => {
    rig.fleet.answers = [answer("a", 0)];
    const updated = await rig.call(updateTarget, { upstream: "u", target: { target, weight: 0 }, drain });
    expect([updated.target.weight, updated.drain.drainedCount]).toEqual([0, 1]);
  });

  it("ends with DEADLINE_EXCEEDED and what is left where it took too long, and is deleted all the same", async () => {
    rig.fleet.answers = [answer("a", 0), answer("b", 3)];
    const failure = await failureOf(rig.call(deleteTarget, { ...key, drain }));
    expect(failure).toMatchObject({ code: Code.DeadlineExceeded, message: expect.stringContaining("3 under way") });
    expect(rig.store.image.count("target")).toBe(0);
  });

  it("says nothing of nodes that a rollout holds the change back from", async () => {
    rig.fleet.applied = Promise.resolve({ appliedCount: 0, nodeCount: 2, heldBack: "waiting" });
    expect((await rig.call(deleteTarget, { ...key, drain })).drain).toBeUndefined();
    expect(rig.fleet.questions).toEqual([]);
  });

  it.each([
    { name: "a deletion", method: deleteTarget, asked: { ...key, drain } },
    { name: "an update", method: updateTarget, asked: { upstream: "u", target: { target, weight: 0 }, drain } },
  ])("waits for no node any more when $name is cancelled, and stands", async ({ method, asked }) => {
    const before = rig.store.image.revision;
    const question = new Promise<NodeQuestion>((resolve) => {
      rig.fleet.ask = (question) => {
        resolve(question);
        return new Promise((settle) => question.signal?.addEventListener("abort", () => settle([answer("a", 1)])));
      };
    });
    const call = rig.stream(method);
    call.end(asked);
    const { signal } = await question;
    await call.cancel();
    if (signal?.aborted === false) await once(signal, "abort");
    expect([signal?.aborted, rig.store.image.revision]).toEqual([true, before + 1]);
  });

  it("is over, and no node asked, when it is cancelled before every node has the change", async () => {
    const waited = new Promise<AbortSignal | undefined>((resolve) => {
      rig.fleet.waitForRevision = (_revision, { signal }) => {
        resolve(signal);
        return new Promise((settle) =>
          signal?.addEventListener("abort", () => settle({ appliedCount: 0, nodeCount: 1 })),
        );
      };
    });
    const call = rig.stream(deleteTarget);
    call.end({ ...key, drain });
    const signal = await waited;
    await call.cancel();
    if (signal?.aborted === false) await once(signal, "abort");
    // Whatever follows on it has been done once another call was answered.
    await rig.call(UpstreamsAPI.method.getUpstream, { idOrName: "u" });
    expect([signal?.aborted, rig.fleet.questions, rig.errors]).toEqual([true, [], []]);
  });

  it.each([
    { name: "another weight", method: updateTarget, asked: { upstream: "u", target: { target, weight: 1 }, drain } },
    { name: "no weight", method: updateTarget, asked: { upstream: "u", target: { target }, drain } },
    { name: "no time", method: deleteTarget, asked: { ...key, drain: {} } },
    { name: "too long a time", method: deleteTarget, asked: { ...key, drain: { seconds: 3_601n } } },
  ])("is refused, and nothing written, with $name", async ({ method, asked }) => {
    const before = rig.store.image.revision;
    const failure = await failureOf(rig.call(method as never, asked as never));
    expect([failure.code, rig.store.image.revision]).toEqual([Code.InvalidArgument, before]);
    expect(JSON.stringify(failure.details)).toContain("drain");
  });

  it("is answered as ever without a drain, and where it is not there", async () => {
    const failure = await failureOf(rig.call(deleteTarget, { ...key, idOrTarget: "10.0.0.2:80", drain }));
    expect(failure.code).toBe(Code.NotFound);
    expect((await rig.call(deleteTarget, key)).drain).toBeUndefined();
    expect(rig.fleet.waits).toEqual([]);
  });
});
