import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { get, RawClient } from "./listener/proxy-server.test-rig.ts";
import { cause, openWorkers, stall, type WorkersRigOptions } from "./worker-faults.test-rig.ts";

const clientCount = 8;

async function rig(options: WorkersRigOptions) {
  const opened = await openWorkers(options);
  onTestFinished(opened.close);
  return opened;
}

/** Clients that ask one request after the other, each on its connection as long as that lasts. */
function startClients(port: number) {
  let isOver = false;
  const failures = Array<number>(clientCount).fill(0);
  const answers = Array<number>(clientCount).fill(0);
  const runs = failures.map(async (_, i) => {
    let client = new RawClient(port);
    while (!isOver) {
      try {
        const { head } = await client.send(get("/")).answer();
        if (!head.startsWith("HTTP/1.1 200 OK")) throw new Error(head);
        answers[i]!++;
        // As a client does that keeps to HTTP: it does not ask again where it was told that the connection ends.
        if (/^connection: close/im.test(head)) client = new RawClient(port);
      } catch {
        failures[i]!++;
        client = new RawClient(port);
      }
    }
    client.close();
  });
  return {
    failures,
    answers,
    async stop() {
      isOver = true;
      await Promise.all(runs);
    },
  };
}

/** Waits until something is so, without keeping the event loop busy all the time. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("row 21: a worker that", () => {
  it.each([
    { fault: "throws", says: /^lost 0: Error: a bug outside of any connection/ },
    { fault: "runs out of memory", says: /^lost 0: out of memory/ },
    { fault: "loops for ever", says: /^lost 0: gives no answer/ },
  ] as const)("$fault is replaced at once, and costs nobody else a request", async ({ fault, says }) => {
    // Nearly out of memory, a worker is slow too: it should not be taken for silent here.
    const {
      group,
      table,
      totals,
      backend,
      port,
      events,
      until: untilEvent,
    } = await rig({
      acceptIn: "main",
      answerTimeoutMs: fault === "loops for ever" ? 2_000 : 30_000,
    });
    const clients = startClients(port);
    await until(() => clients.answers.every((count) => count > 20));
    cause(0, fault);
    await untilEvent(says);
    await until(() => group.servingCount === 2);
    await untilEvent(/^exited 0/);
    const before = [...clients.answers];
    await until(() => clients.answers.every((count, i) => count > before[i]! + 20));
    await clients.stop();
    // Connections were dealt in turn: those with an even number to worker 0.
    expect(clients.failures.filter((_, i) => i % 2 === 1)).toEqual([0, 0, 0, 0]);
    expect(clients.failures.filter((count, i) => i % 2 === 0 && count === 0)).toEqual([]);
    expect(events.filter((event) => event.startsWith("lost"))).toHaveLength(1);
    await until(() => table.inFlightTotal() === 0);
    // Nothing that the lost worker had counted is lost with it; what it may have sent and not counted is its last turn's.
    const { requests } = totals.read(0);
    expect(Math.abs(requests - backend.requests.length)).toBeLessThanOrEqual(clientCount);
  });
});

describe("row 19: a config that workers cannot take up", () => {
  it.each([
    { how: "that no worker can read", next: { publication: 2, pages: ["{"] }, lostCount: 0 },
    { how: "of which a worker and its successors throw", next: { publication: 666 }, lostCount: 3 },
    { how: "of which a worker and its successors exit", next: { publication: 667 }, lostCount: 3 },
  ])("is given up, one $how, and costs no other worker a request", async ({ next, lostCount }) => {
    const { group, table, port, events, deliver, until: untilEvent } = await rig({ acceptIn: "main" });
    const clients = startClients(port);
    await until(() => clients.answers.every((count) => count > 20));
    await expect(deliver(next)).rejects.toThrow(lostCount === 0 ? /JSON/ : /3 workers were lost while applying it/);
    await deliver({ publication: 3 });
    await until(() => group.servingCount === 2);
    const before = [...clients.answers];
    await until(() => clients.answers.every((count, i) => count > before[i]! + 20));
    await clients.stop();
    const lost = events.filter((event) => event.startsWith("lost"));
    // A worker that does not live to say why is replaced twice before that is held against the config; a spare that began
    // with it meanwhile may be lost as well.
    expect(lost.length).toBeGreaterThanOrEqual(lostCount);
    expect(lost.length).toBeLessThanOrEqual(lostCount === 0 ? 0 : lostCount + 1);
    expect(lost.filter((event) => event.startsWith("lost 1:"))).toEqual([]);
    // Connections were dealt in turn: those with an odd number to worker 1.
    const failedOn = (parity: number) => clients.failures.filter((count, i) => i % 2 === parity && count > 0).length;
    expect(failedOn(1)).toBe(0);
    if (lostCount === 0) expect(failedOn(0)).toBe(0);
    else await untilEvent(/^exited 0/);
    await until(() => table.inFlightTotal() === 0);
  });
});

describe("a worker that throws", () => {
  it.each([
    { acceptIn: "worker", what: "waits at its listening socket" },
    { acceptIn: "main", what: "was dealt to it and not taken" },
  ] as const)("leaves what $what to the spare", async ({ acceptIn }) => {
    const { group, port, events, until: untilEvent } = await rig({ acceptIn });
    const { release } = await stall(0);
    // The kernel deals them to both workers; those of the one that stands still are accepted by nobody.
    const clients = Array.from({ length: 60 }, () => new RawClient(port));
    await Promise.all(clients.map(({ socket }) => once(socket, "connect")));
    const answers = clients.map(async (client) => {
      const answer = client.send(get("/", "Connection: close\r\n")).answer();
      return await answer.then(({ head }) => head.slice(0, 15), String);
    });
    release();
    await untilEvent(/^lost 0: Error: a bug outside of any connection/);
    expect((await Promise.all(answers)).filter((answer) => answer !== "HTTP/1.1 200 OK")).toEqual([]);
    await untilEvent(/^exited 0/);
    await until(() => group.servingCount === 2);
    expect(events.filter((event) => event.startsWith("lost"))).toHaveLength(1);
  });

  it.each(["worker", "main"] as const)("gives away what has asked nothing yet, accepting in %s", async (acceptIn) => {
    const { group, port, until: untilEvent } = await rig({ acceptIn });
    const clients = Array.from({ length: 40 }, () => new RawClient(port));
    while ((await group.counters())["connections_accepted"] !== clients.length);
    const [asked, ...others] = clients;
    await asked!.send(get("/")).answer();
    cause(0, "throws");
    await untilEvent(/^exited 0/);
    const answers = others.map(async (client) => {
      const answer = client.send(get("/", "Connection: close\r\n")).answer();
      return await answer.then(({ head }) => head.slice(0, 15), String);
    });
    expect((await Promise.all(answers)).filter((answer) => answer !== "HTTP/1.1 200 OK")).toEqual([]);
    asked!.close();
  });
});

describe("a worker that is replaced", () => {
  it("costs no request, neither on connections that are kept nor on new ones", async () => {
    const { group, table, port, events, until: untilEvent } = await rig({ acceptIn: "worker" });
    const clients = startClients(port);
    await until(() => clients.answers.every((count) => count > 20));
    expect(await group.replaceAll("test")).toBe(true);
    await untilEvent(/^exited 0/);
    await untilEvent(/^exited 1/);
    await clients.stop();
    expect(clients.failures).toEqual(Array(clientCount).fill(0));
    expect(events.filter((event) => event.startsWith("lost"))).toEqual([]);
    await until(() => table.inFlightTotal() === 0);
  });

  it.each(["worker", "main"] as const)(
    "loses none of 1,500 connections over 8 handovers, accepting in %s",
    async (acceptIn) => {
      const { group, port, events } = await rig({ acceptIn });
      let isOver = false;
      const outcomes: string[] = [];
      const clients = Array.from({ length: 4 }, async () => {
        while (!isOver || outcomes.length < 1_500) {
          const client = new RawClient(port);
          const answer = client.send(get("/", "Connection: close\r\n")).answer();
          outcomes.push(await answer.then(({ head }) => head.slice(0, 15), String));
          client.close();
        }
      });
      for (let round = 0; round < 4; round++) expect(await group.replaceAll("test")).toBe(true);
      isOver = true;
      await Promise.all(clients);
      expect(outcomes.filter((outcome) => outcome !== "HTTP/1.1 200 OK")).toEqual([]);
      expect(events.filter((event) => event.startsWith("replaced"))).toHaveLength(8);
    },
  );
});
