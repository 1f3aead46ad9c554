import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { testSet } from "./config/worker-config.test-entities.ts";
import { ListenError } from "./listen-error.ts";
import type { ExplainQuestion } from "./proxy/explanation.ts";
import { FakeTimers } from "./upstream/timers.test-fake.ts";
import { systemTimers } from "./upstream/timers.ts";
import { config, rig } from "./worker-group.test-rig.ts";

/** What a stub worker sends whoever connects; the error's code when there is no whole answer. */
function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (bytes) => (text += bytes.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("close", () => resolve(text));
  });
}

const explainQuestion: ExplainQuestion = {
  ...{ scheme: "http", method: "GET", host: "a.test", path: "/", headers: [], clientAddress: "127.0.0.1", sni: "" },
};

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
    expect(await group.deliver(config(1))).toMatchObject({ ok: true });
    expect(group.servingCount).toBe(2);
    expect(await group.counters()).toEqual({ configCount: 2, setCount: 0 });
  });

  it("has a config that was delivered before the start in its workers from their first message on", async () => {
    const { group } = rig();
    const delivered = group.deliver(config(1));
    await group.start();
    expect(await delivered).toMatchObject({ ok: true });
  });

  it.each(["worker", "main"] as const)(
    "listens only when every worker has a config, where it is to wait for that, accepting in %s",
    async (acceptIn) => {
      const { group } = rig({ acceptIn, waitsForConfig: true, keepsSpare: true });
      const started = group.start();
      await group.caughtUp();
      expect(await group.deliver(config(1, "refuse,1"))).toEqual({ ok: false, message: "worker 1 refuses" });
      group.withdraw();
      await group.caughtUp();
      expect(group.listeningCount).toBe(0);
      expect(await group.deliver(config(2))).toMatchObject({ ok: true });
      expect(group.servingCount).toBe(2);
      expect(await ask(await started)).toMatch(/^worker \d$/);
    },
  );

  it("says which worker refused a config, and delivers the next one", async () => {
    const { group } = rig();
    await group.start();
    await group.deliver(config(1));
    expect(await group.deliver(config(2, "refuse,1"))).toEqual({ ok: false, message: "worker 1 refuses" });
    expect(await group.deliver(config(1))).toMatchObject({ ok: true });
    expect(group.servingCount).toBe(2);
  });

  it("takes no late refusal of a config for an answer to the one after it", async () => {
    const { group } = rig({ count: 3 });
    await group.start();
    for (let publication = 1; publication < 20; publication++) {
      expect(await group.deliver(config(publication, "refuse"))).toMatchObject({ ok: false });
      expect(await group.deliver(config(publication))).toMatchObject({ ok: true });
    }
  });

  it.each([
    { how: "die", cause: /^lost [^1]: exited with code 3/ },
    { how: "throw", cause: /^lost [^1]: Error: worker bug/ },
  ])(
    "row 19: gives up a config that makes workers $how, and serves the one before, its siblings untouched",
    async ({ how, cause }) => {
      const { group, events } = rig();
      await group.start();
      await group.deliver(config(1));
      // Worker 0 and its successors, whose numbers depend on how soon the threads before them have ended.
      expect(await group.deliver(config(2, `${how},0,2,3,4,5`))).toMatchObject({ ok: false });
      expect(events.filter((event) => cause.test(event))).toHaveLength(3);
      expect(events.filter((event) => event.startsWith("lost 1:"))).toEqual([]);
      expect(await group.deliver(config(1))).toMatchObject({ ok: true });
      expect(group.servingCount).toBe(2);
    },
  );

  it("replaces a worker that dies, and the successor serves the same config and port", async () => {
    const { group, until } = rig();
    const port = await group.start();
    // It dies once: the successor is sent what is current by then.
    const first = group.deliver(config(1, "die,1"));
    await until(/^lost 1: exited/);
    expect(await first).toMatchObject({ ok: false });
    expect(await group.deliver(config(2))).toMatchObject({ ok: true });
    const probe = createServer().listen({ port, host: "127.0.0.1", reusePort: true });
    await once(probe, "listening");
    probe.close();
    expect(group.listeningCount).toBe(2);
  });

  it.each(["loop", "silent"])("replaces a worker that falls silent (%s)", async (how) => {
    const timers = new FakeTimers();
    // Alone, since another worker would have as little time to answer in as this one.
    const endpointTable = new SharedArrayBuffer(4);
    const { group, events, until } = rig({ timers, count: 1, answerTimeoutMs: 2_000, endpointTable });
    await group.start();
    const delivered = group.deliver(config(1, `${how},once`));
    // No time passes before it has begun to be silent.
    while (new Int32Array(endpointTable)[0] === 0) await nextTurn();
    while (!events.includes("lost 0: gives no answer")) await timers.pass(50);
    await timers.pass(0);
    expect(await delivered).toMatchObject({ ok: true });
    expect(group.servingCount).toBe(1);
    await until(/^exited 0/);
  });

  it("replaces nobody when the whole process was stopped for a while", async () => {
    const timers = new FakeTimers();
    const { group, events } = rig({ timers, answerTimeoutMs: 2_000 });
    await group.start();
    void group.deliver(config(1, "silent,0"));
    await timers.jump(3_600_000);
    expect(events).toEqual([]);
    await timers.pass(2_000);
    expect(events).toContain("lost 0: gives no answer");
  });

  it("takes no worker for silent that answers config after config and always owes one more", async () => {
    const timers = new FakeTimers();
    const { group, events } = rig({ timers, answerTimeoutMs: 2_000 });
    await group.start();
    for (let publication = 1; publication <= 8; publication++) {
      const delivered = group.deliver(config(publication));
      await timers.pass(1_000);
      expect(events).toEqual([]);
      expect(await delivered).toMatchObject({ ok: true });
    }
  });

  it("keeps what a lost worker had counted", async () => {
    const { group, until } = rig({ count: 1 });
    await group.start();
    await group.deliver(config(1));
    await group.counters();
    void group.deliver(config(2, "die"));
    await until(/^lost 0/);
    expect((await group.counters())["configCount"]).toBeGreaterThanOrEqual(1);
  });

  it("asks a worker that serves what would become of a request, and another one where that is lost", async () => {
    // So that no time is waited for.
    const timers = {
      ...systemTimers,
      after: (ms: number, run: () => void) => systemTimers.after(ms === 8_000 ? 0 : ms, run),
    };
    const { group } = rig({ timers });
    const asked = (method: string) => group.explain({ ...explainQuestion, method });
    await group.start();
    await expect(asked("GET")).rejects.toThrow("no worker serves a configuration");
    await group.deliver(config(1));
    await expect(asked("WAIT")).rejects.toThrow("no worker has answered in time");
    group.close();

    const other = rig();
    await other.group.start();
    await other.group.deliver(config(1));
    expect((await other.group.explain({ ...explainQuestion, method: "GET" })).publication).toBe(0);
    expect((await other.group.explain({ ...explainQuestion, method: "DIE" })).publication).toBe(1);
    await other.until(/^lost 0/);
  });

  it("passes on endpoints, and what workers took out", async () => {
    const { group, events, until } = rig();
    await group.start();
    group.post({ type: "endpoints", endpointSets: [testSet([], { poolKey: "p" })] });
    await group.caughtUp();
    await until(/^ejected p 0 test/);
    await until(/^ejected p 1 test/);
    expect(events).toHaveLength(2);
  });

  it("leaves workers without a config when the first one is withdrawn", async () => {
    const { group } = rig();
    await group.start();
    expect(await group.deliver(config(1, "refuse,1"))).toMatchObject({ ok: false });
    group.withdraw();
    expect(group.servingCount).toBe(0);
    expect(await group.deliver(config(2))).toMatchObject({ ok: true });
  });

  it("starts without its config when that is what kills its workers", async () => {
    const { group } = rig();
    const delivered = group.deliver(config(1, "die"));
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

  it("lets a spare take the place of a worker that dies, and keeps another", async () => {
    const { group, events, until } = rig({ keepsSpare: true });
    const port = await group.start();
    await group.deliver(config(1));
    await group.caughtUp();
    expect(await group.deliver(config(2, "die,0"))).toMatchObject({ ok: true });
    expect(events).toContain("lost 0: exited with code 3");
    expect(group.servingCount).toBe(2);
    await until(/^exited 0/);
    // Three workers again: the counters of each come from an answer of its own.
    while ((await group.counters())["configCount"]! < 2 + 2 + 1) await group.caughtUp();
    expect(await ask(port)).toMatch(/^worker [12]$/);
  });

  it("says when worker after worker is lost with what all of them serve", async () => {
    const { group, events, until } = rig({ count: 1 });
    await group.start();
    await group.deliver(config(1));
    expect(await group.deliver(config(2, "die-later"))).toMatchObject({ ok: true });
    await until(/^unfit/);
    const told = events.filter((event) => !event.startsWith("exited"));
    expect(told).toEqual([...Array(3).fill("lost 0: exited with code 3"), "unfit 2"]);
    expect(await group.deliver(config(1))).toMatchObject({ ok: true });
  });

  it.each(["worker", "main"] as const)(
    "replaces every worker, accepting in %s, with nothing lost",
    async (acceptIn) => {
      const { group, events, until } = rig({ keepsSpare: true, acceptIn });
      const port = await group.start();
      await group.deliver(config(1));
      const answers: Promise<string>[] = [];
      let isOver = false;
      const replaced = group.replaceAll("test").finally(() => (isOver = true));
      while (!isOver) {
        answers.push(ask(port));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(await replaced).toBe(true);
      expect((await Promise.all(answers)).filter((answer) => !/^worker \d$/.test(answer))).toEqual([]);
      await until(/^exited 1/);
      expect(events.filter((event) => event.startsWith("lost"))).toEqual([]);
      expect(events).toEqual(expect.arrayContaining(["replaced 0: test", "replaced 1: test"]));
      expect(group.servingCount).toBe(2);
    },
  );

  it("deals connections to its workers in turn when the main thread accepts", async () => {
    const { group } = rig({ acceptIn: "main", count: 3 });
    const port = await group.start();
    const answers: string[] = [];
    for (let i = 0; i < 9; i++) answers.push(await ask(port));
    expect(answers.join(" ")).toBe("worker 0 worker 1 worker 2 ".repeat(3).trim());
  });

  it("holds connections back while no worker takes any", async () => {
    const { group, until } = rig({ acceptIn: "main", count: 1 });
    const port = await group.start();
    void group.deliver(config(1, "die,once"));
    await until(/^lost 0/);
    expect(await ask(port)).toBe("worker 0");
  });

  it("replaces a worker whose heap is nearly full, while it can still hand over", async () => {
    const timers = new FakeTimers();
    const { group, events } = rig({ timers, keepsSpare: true, resourceLimits: { maxOldGenerationSizeMb: 100 } });
    await group.start();
    await group.deliver(config(1, "fill,1"));
    await group.caughtUp();
    while (!events.includes("replaced 1: its heap is nearly full")) {
      await timers.pass(1_000);
      await group.caughtUp();
    }
    expect(events.filter((event) => event.startsWith("lost"))).toEqual([]);
  });

  it("ends when every worker has drained", async () => {
    const { group } = rig();
    await group.start();
    await group.drain(30_000);
    expect(group.listeningCount).toBe(0);
  });
});
