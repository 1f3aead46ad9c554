import type { Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { defaultBalancing } from "./config/balancing-config.ts";
import { answerText, get, RawClient } from "./listener/proxy-server.test-rig.ts";
import { cause, openWorkers, type WorkersRigOptions } from "./worker-faults.test-rig.ts";

/** Waits until something is so, without keeping the event loop busy all the time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/**
 * Two real workers that are dealt connections in turn, before a target that answers when it is told to. Of the clients
 * those with even numbers are with one worker, the others with the other.
 */
async function rig(max: number, more: Partial<WorkersRigOptions> = {}) {
  const waiting: { readonly path: string; readonly socket: Socket }[] = [];
  let most = 0;
  const inFlight = { max, queueSize: 100, queueTimeoutMs: 600_000 };
  const workers = await openWorkers({
    acceptIn: "main",
    pool: { balancing: { ...defaultBalancing, inFlight } },
    // Longer than it takes to notice that a worker is lost: until then the target answers nobody.
    service: { readTimeoutMs: 600_000 },
    answer({ head }, socket) {
      const one = { path: head.split(" ")[1]!, socket };
      waiting.push(one);
      most = Math.max(most, waiting.length);
      socket.on("close", () => {
        if (waiting.includes(one)) waiting.splice(waiting.indexOf(one), 1);
      });
    },
    ...more,
  });
  onTestFinished(workers.close);
  const { admissions } = workers.table;
  return {
    ...workers,
    waiting,
    most: () => most,
    admitted: () => admissions.admittedToPool(0),
    queued: () => admissions.waitingCount(0),
    answer: () => void waiting.shift()!.socket.write(answerText("ok")),
    /** The next client, once its request is at the target or waits. */
    async ask(path: string): Promise<RawClient> {
      const before = waiting.length + admissions.waitingCount(0);
      const client = new RawClient(workers.port).send(get(path));
      onTestFinished(() => client.close());
      await until(() => waiting.length + admissions.waitingCount(0) > before);
      return client;
    },
  };
}

const isOk = ({ head }: { readonly head: string }): boolean => head.startsWith("HTTP/1.1 200");

describe("a limit over two workers", () => {
  it("is one, and so is the queue: turns come in the order of the requests, whichever worker has them", async () => {
    const { ask, waiting, answer, most, queued } = await rig(1);
    const clients: RawClient[] = [];
    for (let i = 0; i < 8; i++) clients.push(await ask(`/${i}`));
    expect([waiting.length, queued()]).toEqual([1, 7]);
    for (const [i, client] of clients.entries()) {
      await until(() => waiting.length === 1);
      expect(waiting[0]!.path).toBe(`/${i}`);
      answer();
      expect(isOk(await client.answer())).toBe(true);
    }
    expect([most(), queued()]).toEqual([1, 0]);
  });

  it.each([
    { fault: "throws", answerTimeoutMs: 30_000 },
    { fault: "loops for ever", answerTimeoutMs: 8_000 },
  ] as const)("is given back by a worker that $fault, and its turn is the other one's", async ({ fault, ...more }) => {
    const { ask, waiting, answer, queued, admitted, until: happened, most } = await rig(2, more);
    const clients: RawClient[] = [];
    for (let i = 0; i < 4; i++) clients.push(await ask(`/${i}`));
    const paths = () => waiting.map(({ path }) => path);
    expect([paths(), queued()]).toEqual([["/0", "/1"], 2]);
    // It holds one of two places, and the request that has waited longest is with it.
    cause(0, fault);
    await happened(/^exited 0/);
    await Promise.all([clients[0]!.closed, clients[2]!.closed]);
    await until(() => paths().join() === "/1,/3");
    expect([queued(), admitted()]).toEqual([0, 2]);
    answer();
    answer();
    expect([isOk(await clients[1]!.answer()), isOk(await clients[3]!.answer())]).toEqual([true, true]);
    await until(() => admitted() === 0);
    expect(most()).toBe(2);
  });

  it("goes on under load while workers are lost one after the other, and nothing of it stays", async () => {
    const {
      port,
      until: happened,
      admitted,
      queued,
      events,
      most,
    } = await rig(3, {
      answer: (_, socket) => void setImmediate(() => socket.write(answerText("ok"))),
    });
    let isOver = false;
    let answered = 0;
    const runs = Array.from({ length: 12 }, async () => {
      let client = new RawClient(port);
      while (!isOver) {
        try {
          if (isOk(await client.send(get("/")).answer())) answered++;
        } catch {
          client.close();
          client = new RawClient(port);
        }
      }
      client.close();
    });
    await until(() => answered > 200);
    for (const worker of [0, 1, 2]) {
      cause(worker, "throws");
      await happened(new RegExp(`^exited ${worker}`));
      const before = answered;
      await until(() => answered > before + 200);
    }
    isOver = true;
    await Promise.all(runs);
    await until(() => admitted() === 0);
    expect([queued(), most(), events.filter((event) => event.startsWith("lost")).length]).toEqual([0, 0, 3]);
  });

  it("lets a worker that is replaced finish those that wait with it", async () => {
    const { ask, group, waiting, answer, queued } = await rig(1, { retireTimeoutMs: 60_000 });
    const clients = [await ask("/0"), await ask("/1"), await ask("/2")];
    expect(queued()).toBe(2);
    expect(await group.replaceAll("for a test")).toBe(true);
    for (const client of clients) {
      await until(() => waiting.length === 1);
      answer();
      expect(isOk(await client.answer())).toBe(true);
    }
  });
});
