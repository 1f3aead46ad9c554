import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EndpointSet, WorkerConfig } from "./config/worker-config.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";
import { systemTimers } from "./upstream/timers.ts";
import { ListenError, WorkerGroup, type WorkerGroupOptions } from "./worker-group.ts";

function config(publication: number, behaviour = "serve"): WorkerConfig {
  const route = { name: behaviour } as WorkerConfig["routes"][number];
  return { publication, revision: publication, routes: [route], services: [], pools: [] };
}

/** A group of stub workers, with what it tells in order; `until` waits for one of these. */
function rig(given: Partial<WorkerGroupOptions> = {}) {
  const events: string[] = [];
  let wake = () => {};
  const tell = (event: string) => {
    events.push(event);
    wake();
  };
  const group = new WorkerGroup({
    entry: new URL("./worker-group.test-worker.ts", import.meta.url),
    count: 2,
    proxyHosts: ["127.0.0.1"],
    proxyPort: 0,
    endpointTable: new SharedArrayBuffer(4),
    version: "0.0.0",
    onAccessLog: () => {},
    settings: { trustedProxies: [], accessLogSample: null, metricsSeriesMax: 10 },
    resourceLimits: {},
    timers: systemTimers,
    answerTimeoutMs: 10_000,
    currentSets: () => [],
    onEjected: (poolKey, row, cause) => tell(`ejected ${poolKey} ${row} ${cause}`),
    onLost: (index, cause) => tell(`lost ${index}: ${cause.split("\n")[0]}`),
    ...given,
  });
  onTestFinished(() => group.close());
  async function until(pattern: RegExp): Promise<void> {
    while (!events.some((event) => pattern.test(event))) await new Promise<void>((resolve) => (wake = resolve));
  }
  return { group, events, until };
}

describe("WorkerGroup", () => {
  it("starts every worker on one free port", async () => {
    const { group } = rig({ count: 3 });
    expect(await group.start()).toBeGreaterThan(0);
    expect(group.listeningCount).toBe(3);
    expect(group.servingCount).toBe(0);
  });

  it("delivers a config to every worker", async () => {
    const { group } = rig();
    await group.start();
    expect(await group.deliver(config(1), [])).toEqual({ ok: true });
    expect(group.servingCount).toBe(2);
    expect(await group.counters()).toEqual({ configCount: 2, setCount: 0 });
  });

  it("has a config that was delivered before the start in its workers from their first message on", async () => {
    const { group } = rig();
    const delivered = group.deliver(config(1), []);
    await group.start();
    expect(await delivered).toEqual({ ok: true });
  });

  it("says which worker refused a config, and delivers the next one", async () => {
    const { group } = rig();
    await group.start();
    await group.deliver(config(1), []);
    expect(await group.deliver(config(2, "refuse,1"), [])).toEqual({ ok: false, message: "worker 1 refuses" });
    expect(await group.deliver(config(1), [])).toEqual({ ok: true });
    expect(group.servingCount).toBe(2);
  });

  it("takes no late refusal of a config for an answer to the one after it", async () => {
    const { group } = rig({ count: 3 });
    await group.start();
    for (let publication = 1; publication < 20; publication++) {
      expect(await group.deliver(config(publication, "refuse"), [])).toMatchObject({ ok: false });
      expect(await group.deliver(config(publication), [])).toEqual({ ok: true });
    }
  });

  it.each([
    { how: "die", cause: /^lost 0: exited with code 3/ },
    { how: "throw", cause: /^lost 0: Error: worker bug/ },
  ])("gives up a config that makes workers $how, and serves the one before", async ({ how, cause }) => {
    const { group, events } = rig();
    await group.start();
    await group.deliver(config(1), []);
    expect(await group.deliver(config(2, `${how},0`), [])).toMatchObject({ ok: false });
    expect(events.filter((event) => cause.test(event))).toHaveLength(3);
    expect(await group.deliver(config(1), [])).toEqual({ ok: true });
    expect(group.servingCount).toBe(2);
  });

  it("replaces a worker that dies, and the successor serves the same config and port", async () => {
    const sets: EndpointSet[] = [{ poolKey: "p", endpoints: [], emptyBecause: "no_targets" }];
    const { group, until } = rig({ currentSets: () => sets });
    const port = await group.start();
    // It dies once: the successor is sent what is current by then.
    const first = group.deliver(config(1, "die,1"), []);
    await until(/^lost 1: exited/);
    expect(await first).toMatchObject({ ok: false });
    expect(await group.deliver(config(2), [])).toEqual({ ok: true });
    const probe = createServer().listen({ port, host: "127.0.0.1", reusePort: true });
    await once(probe, "listening");
    probe.close();
    expect(group.listeningCount).toBe(2);
  });

  it.each(["loop", "silent"])("replaces a worker that falls silent (%s)", async (how) => {
    const timers = new FakeTimers();
    const { group, events } = rig({ timers, answerTimeoutMs: 2_000 });
    await group.start();
    const delivered = group.deliver(config(1, `${how},0`), []);
    let isOver = false;
    void delivered.then(() => (isOver = true));
    // Nobody's time but the group's passes: the successors have none to start in, and count as silent too.
    while (!isOver) await timers.pass(50);
    expect(await delivered).toMatchObject({ ok: false, message: expect.stringContaining("gives no answer") });
    expect(events).toContain("lost 0: gives no answer");
  });

  it("replaces nobody when the whole process was stopped for a while", async () => {
    const timers = new FakeTimers();
    const { group, events } = rig({ timers, answerTimeoutMs: 2_000 });
    await group.start();
    void group.deliver(config(1, "silent,0"), []);
    await timers.jump(3_600_000);
    expect(events).toEqual([]);
    await timers.pass(2_000);
    expect(events).toContain("lost 0: gives no answer");
  });

  it("keeps what a lost worker had counted", async () => {
    const { group, until } = rig({ count: 1 });
    await group.start();
    await group.deliver(config(1), []);
    await group.counters();
    void group.deliver(config(2, "die"), []);
    await until(/^lost 0/);
    expect((await group.counters())["configCount"]).toBeGreaterThanOrEqual(1);
  });

  it("passes on endpoints, and what workers took out", async () => {
    const { group, events, until } = rig();
    await group.start();
    group.post({ type: "endpoints", endpointSets: [{ poolKey: "p", endpoints: [], emptyBecause: "unresolved" }] });
    await group.caughtUp();
    await until(/^ejected p 0 test/);
    await until(/^ejected p 1 test/);
    expect(events).toHaveLength(2);
  });

  it("leaves workers without a config when the first one is withdrawn", async () => {
    const { group } = rig();
    await group.start();
    expect(await group.deliver(config(1, "refuse,1"), [])).toMatchObject({ ok: false });
    group.withdraw();
    expect(group.servingCount).toBe(0);
    expect(await group.deliver(config(2), [])).toEqual({ ok: true });
  });

  it("starts without its config when that is what kills its workers", async () => {
    const { group } = rig();
    const delivered = group.deliver(config(1, "die"), []);
    const started = group.start();
    expect(await delivered).toMatchObject({ ok: false });
    group.withdraw();
    expect(await started).toBeGreaterThan(0);
  });

  it("says when the port cannot be opened", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { group } = rig({ proxyPort: (taken.address() as AddressInfo).port });
    const problem = await group.start().catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(ListenError);
    expect((problem as ListenError).code).toBe("EADDRINUSE");
  });

  it("says when its workers cannot even start", async () => {
    const { group } = rig({ entry: new URL("./there-is-no-such-worker.ts", import.meta.url) });
    await expect(group.start()).rejects.toThrow(/worker 0 was lost before it listened/);
  });

  it("ends when every worker has drained", async () => {
    const { group } = rig();
    await group.start();
    await group.drain(30_000);
    expect(group.listeningCount).toBe(0);
  });
});
