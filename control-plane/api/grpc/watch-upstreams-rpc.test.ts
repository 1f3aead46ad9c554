import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, it, onTestFinished, vi } from "vitest";
import { TrafficReportSchema } from "../../../proto/gen/penstock/sync/v1/sync_pb.ts";
import { granted, upstreamDraft } from "../../../test/support/drafts.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { startRpcRig } from "../../../test/support/rpc-rig.ts";
import { healthReader } from "../../admin/upstream-health.ts";
import { trafficReader } from "../../admin/upstream-traffic.ts";
import { mergeTraffic } from "../../observation/merge-traffic.ts";
import { TrafficMerges } from "../../observation/traffic-merges.ts";
import { TrafficViews } from "../../observation/traffic-views.ts";
import { watchUpstreams } from "./watch-upstreams-rpc.ts";

const watcherCount = 20;

it("watchers of one upstream that came at different times share a merge for each time that they are told", async () => {
  const rig = await startRpcRig();
  onTestFinished(() => rig.close());
  const { id } = granted(await rig.admin.upstream.create(upstreamDraft({ name: "u" }))).resource;
  const clock = new ManualClock();
  const views = new TrafficViews({ clock, viewMaxCount: 100, onFull: () => {} });
  let merges = 0;
  const counted: typeof mergeTraffic = (nodes, byNode) => {
    merges++;
    return mergeTraffic(nodes, byNode);
  };
  const shared = new TrafficMerges({ views, clock, merge: counted });
  const traffic = trafficReader(healthReader(rig.store.image, rig.views), shared);
  views.connected("n", "host");
  let look = 0n;
  const tell = (requestCount: bigint) => {
    const endpoints = [{ upstreamId: id, targetId: "t", address: "127.0.0.1:1", requestCount }];
    views.take("n", create(TrafficReportSchema, { endpoints, look: ++look, interval: durationFromMs(2_000) }));
  };
  const read = (key: string) => traffic.upstream(key, false);
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  const watchers = Array.from({ length: watcherCount }, () => {
    const sources = { store: rig.store, read, changes: [views], clock };
    return watchUpstreams(sources, id, stopping.signal);
  });
  const requestsTold = async (watcher: (typeof watchers)[number]) => {
    const { value } = await watcher.next();
    return "upstream" in value ? value.upstream.total.counts.requests : null;
  };
  for (const watcher of watchers) {
    expect(await requestsTold(watcher)).toBe(0);
    clock.advance(37);
  }
  merges = 0;
  for (let round = 1; round <= 5; round++) {
    const told = Promise.all(watchers.map(requestsTold));
    tell(BigInt(round));
    // Each goes through the microtasks that have it wait for the next second.
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_000);
    expect(await told).toEqual(watchers.map(() => round));
    expect(merges).toBe(round);
  }
});

it("a watcher keeps nothing of upstreams that only a node knows", async () => {
  const rig = await startRpcRig();
  onTestFinished(() => rig.close());
  const { id } = granted(await rig.admin.upstream.create(upstreamDraft({ name: "u" }))).resource;
  const clock = new ManualClock();
  const health = healthReader(rig.store.image, rig.views);
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  let mark: (upstreams: ReadonlySet<string>) => void = () => {};
  const changes = [
    {
      onChange(listener: typeof mark) {
        mark = listener;
        return () => {};
      },
    },
  ];
  const watcher = watchUpstreams({ store: rig.store, read: health.upstream, changes, clock }, null, stopping.signal);
  expect((await watcher.next()).value).toMatchObject({ upstream: { id } });
  // It reads nothing meanwhile.
  for (let i = 0; i < 1_000; i++) mark(new Set([`v${i}`]));
  // Each that waits is looked at.
  const looks = vi.spyOn(clock, "monotonicMs");
  const next = watcher.next();
  await new Promise((resolve) => setImmediate(resolve));
  expect(looks.mock.calls.length).toBeLessThan(10);
  granted(await rig.admin.upstream.create(upstreamDraft({ name: "w" })));
  expect((await next).value).toMatchObject({ upstream: { name: "w" } });
});
