import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { HealthAPI, HealthState } from "../../../proto/gen/penstock/admin/v1/health_pb.ts";
import { type ObservationSchema, ObservationsSchema } from "../../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { granted, targetDraft, upstreamDraft } from "../../../test/support/drafts.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { type RpcRig, startRpcRig } from "../../../test/support/rpc-rig.ts";
import { healthReader } from "../../admin/upstream-health.ts";
import { watchUpstreams } from "./watch-upstreams-rpc.ts";

const { getUpstreamHealth, watchUpstreamHealth, setTargetHealth } = HealthAPI.method;

let rig: RpcRig;

beforeEach(async () => {
  rig = await startRpcRig();
  onTestFinished(() => rig.close());
  await createUpstream("u");
});

async function createUpstream(name: string): Promise<void> {
  granted(await rig.admin.upstream.create(upstreamDraft({ name })));
  granted(await rig.admin.target.create(targetDraft({ target: "127.0.0.1:9001" }), name));
}

const idOf = (upstream: string) => granted(rig.admin.upstream.get({ key: upstream })).id;

function observe(nodeId: string, init: MessageInitShape<typeof ObservationSchema>, upstream = "u"): void {
  const targetId = granted(rig.admin.target.get({ key: "127.0.0.1:9001", parent: upstream })).id;
  rig.views.connected(nodeId, `host-of-${nodeId}`);
  const seen = { upstreamId: idOf(upstream), targetId, address: "127.0.0.1:9001", weight: 100, ...init };
  rig.views.take(nodeId, create(ObservationsSchema, { observations: [seen] }));
}

describe("HealthAPI.GetUpstreamHealth", () => {
  it("tells what each node sees, merged, and the policy that they go by", async () => {
    observe("n1", { healthy: false, source: "outlier", reason: "5 resets", sinceUnixMs: 1_500n, transitionCount: 4n });
    observe("n2", { healthy: true });
    const { health } = await rig.call(getUpstreamHealth, { upstream: "u" });
    expect(health).toMatchObject({ upstreamName: "u", state: HealthState.HEALTHY, nodeCount: 0, replacedDefaults: [] });
    expect(health.effectiveResilience.outlier.consecutiveResets).toBe(5);
    const [target] = health.targets;
    expect(target).toMatchObject({ target: "127.0.0.1:9001", weight: 100, state: HealthState.HEALTHY });
    expect(target.endpoints).toMatchObject([
      {
        address: "127.0.0.1:9001",
        state: HealthState.HEALTHY,
        healthyNodeCount: 1,
        reportingNodeCount: 2,
        views: [
          {
            nodeId: "n1",
            hostname: "host-of-n1",
            healthy: false,
            source: "outlier",
            reason: "5 resets",
            since: { seconds: 1n, nanos: 500_000_000 },
            transitionCount: 4n,
          },
          { nodeId: "n2", healthy: true },
        ],
      },
    ]);
  });

  it("is NOT_FOUND for an upstream that is not there", async () => {
    await expect(rig.call(getUpstreamHealth, { upstream: "x" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(rig.call(getUpstreamHealth, { upstream: "" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });
});

describe("HealthAPI.SetTargetHealth", () => {
  it("stores the decision and says when it ends", async () => {
    const request = { upstream: "u", target: "127.0.0.1:9001", healthy: false };
    const timed = await rig.call(setTargetHealth, { ...request, expiresIn: { seconds: 60n } });
    expect(timed.revision).toBe(BigInt(rig.store.image.revision));
    expect(timed.expiresAt).toMatchObject({ seconds: 1_717_000_060n });
    const open = await rig.call(setTargetHealth, { ...request, address: "127.0.0.1:9001" });
    expect(open.expiresAt).toBeUndefined();
    expect(rig.store.image.count("health_override")).toBe(2);
  });

  it.each([
    {
      name: "an address that is none",
      request: { address: "a.test:80" },
      code: Code.InvalidArgument,
      field: "address",
    },
    { name: "too short a time", request: { expiresIn: { nanos: 1 } }, code: Code.InvalidArgument, field: "expires_in" },
    { name: "a target that is not there", request: { target: "1.1.1.1:1" }, code: Code.NotFound, field: null },
  ])("refuses $name", async ({ request, code, field }) => {
    const failed = rig.call(setTargetHealth, { upstream: "u", target: "127.0.0.1:9001", ...request });
    const failure = await failed.catch((error) => error);
    expect(failure.code).toBe(code);
    const fields = failure.details.flatMap((detail: { fieldViolations?: { field: string }[] }) =>
      (detail.fieldViolations ?? []).map((violation) => violation.field),
    );
    expect(fields).toEqual(field === null ? [] : [field]);
  });
});

describe("HealthAPI.WatchUpstreamHealth", () => {
  it("tells what there is, what changes and what is deleted, of one upstream only", async () => {
    await createUpstream("other");
    const stream = rig.stream(watchUpstreamHealth);
    stream.end({ upstream: "u" });
    expect((await stream.next()).health).toMatchObject({ upstreamName: "u", state: HealthState.UNSPECIFIED });
    observe("n1", { healthy: true, isChecked: true }, "other");
    observe("n1", { healthy: true, isChecked: true });
    expect((await stream.next()).health).toMatchObject({ upstreamName: "u", state: HealthState.HEALTHY });
    granted(await rig.admin.upstream.remove({ key: "u" }));
    expect(await stream.next()).toMatchObject({ deleted: true, health: { upstreamName: "u", targets: [] } });
    await stream.cancel();
  });

  it("tells of all upstreams, in the order of their names", async () => {
    await createUpstream("a");
    const stream = rig.stream(watchUpstreamHealth);
    stream.end({ upstream: "" });
    const names = [await stream.next(), await stream.next()].map(({ health }) => health.upstreamName);
    expect(names).toEqual(["a", "u"]);
    await createUpstream("b");
    expect((await stream.next()).health.upstreamName).toBe("b");
    await stream.cancel();
  });

  it("is NOT_FOUND for an upstream that is not there, and ends with the control plane", async () => {
    const missing = rig.stream(watchUpstreamHealth);
    missing.end({ upstream: "x" });
    expect((await missing.next()).code).toBe(Code.NotFound);
    const stream = rig.stream(watchUpstreamHealth);
    stream.end({ upstream: "u" });
    await stream.next();
    rig.shutDown();
    expect((await stream.next()).code).toBe(Code.Unavailable);
  });
});

describe("watchUpstreams", () => {
  it("tells of an upstream at most once a second, and then the newest", async () => {
    const clock = new ManualClock();
    const health = healthReader(rig.store.image, rig.views);
    const controller = new AbortController();
    const sources = { store: rig.store, read: health.upstream, changes: [rig.views], clock };
    const seen = watchUpstreams(sources, idOf("u"), controller.signal);
    const nextState = async () => {
      const { value } = await seen.next();
      return value !== undefined && "upstream" in value ? value.upstream.merged.state : "deleted";
    };
    expect(await nextState()).toBe("UNKNOWN");
    const next = nextState();
    for (const healthy of [true, false, true, false]) observe("n1", { healthy });
    // The watcher has been woken and waits for its time.
    while (clock.nextDelayMs() === null) await new Promise(setImmediate);
    expect(clock.nextDelayMs()).toBe(1_000);
    clock.advance(1_000);
    expect(await next).toBe("UNHEALTHY");
    const ended = seen.next();
    controller.abort(new Error("gone"));
    await expect(ended).rejects.toThrow("gone");
    expect(clock.nextDelayMs()).toBeNull();
  });
});
