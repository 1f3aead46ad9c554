import dns, { type LookupAddress } from "node:dns";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { systemClock } from "./clock.ts";
import { reachByTcp } from "./reach-address.ts";

const problemOf = (address: string) =>
  new Promise<string | null>((resolve) => reachByTcp(systemClock, 20_000)(address, resolve));

/** Names are looked up when the test says, with what it says. */
function scriptLookup(): {
  readonly answer: (...addresses: readonly string[]) => void;
  readonly askedCount: () => number;
} {
  type Done = (error: Error | null, found: readonly LookupAddress[]) => void;
  const waiting: Done[] = [];
  const lookup = (_name: string, _options: object, done: Done) => waiting.push(done);
  const spied = vi.spyOn(dns, "lookup").mockImplementation(lookup as never);
  onTestFinished(() => spied.mockRestore());
  return {
    answer: (...addresses) => {
      const found = addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
      for (const done of waiting.splice(0)) done(null, found);
    },
    askedCount: () => spied.mock.calls.length,
  };
}

/** Listens, and takes no connection before it is told to: the kernel drops what does not fit into its queue of two. */
async function startBusyListener() {
  const isFree = new Int32Array(new SharedArrayBuffer(4));
  const program = `
    const { parentPort, workerData } = require("node:worker_threads");
    const server = require("node:net").createServer((socket) => socket.on("error", () => {}).resume());
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(workerData, 0, 0);
    });`;
  const worker = new Worker(program, { eval: true, workerData: isFree });
  const free = () => {
    Atomics.store(isFree, 0, 1);
    Atomics.notify(isFree, 0);
  };
  const [port] = (await once(worker, "message")) as [number];
  const queued = [1, 2].map(() => connect(port, "127.0.0.1"));
  onTestFinished(async () => {
    for (const socket of queued) socket.destroy();
    free();
    await worker.terminate();
  });
  await Promise.all(queued.map((socket) => once(socket, "connect")));
  return { port, free };
}

describe("reachByTcp", () => {
  it.each(["127.0.0.1", "[::1]"])("finds who listens at %s, sends nothing and goes", async (host) => {
    const server = createServer().listen(0, host.replace(/[[\]]/g, ""));
    await once(server, "listening");
    const connection = once(server, "connection");
    expect(await problemOf(`${host}:${(server.address() as AddressInfo).port}`)).toBeNull();
    const [socket] = await connection;
    const ended = once(socket, "close");
    socket.resume();
    await ended;
    expect(socket.bytesRead).toBe(0);
    server.close();
    await once(server, "close");
  });

  it("says why nobody is there", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    expect(await problemOf(`127.0.0.1:${port}`)).toContain("ECONNREFUSED");
    expect(await problemOf(`no-such-name.invalid:${port}`)).toContain("no-such-name.invalid");
  });

  it("gives up in time, and never says anything after that", async () => {
    const clock = new ManualClock();
    const problems: (string | null)[] = [];
    // An address of documentation (RFC 5737): nobody answers there, or it cannot be reached at all.
    reachByTcp(clock, 2_000)("192.0.2.1:8005", (problem) => problems.push(problem));
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(problems).toEqual(["no connection to 192.0.2.1:8005 within 2000 ms"]);
    reachByTcp(clock, 2_000)("192.0.2.1:8005", (problem) => problems.push(problem))();
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(problems).toHaveLength(1);
  });

  it("gives a name 5 s to be resolved, and the network its own time after that", async () => {
    const lookup = scriptLookup();
    const clock = new ManualClock();
    const problems: (string | null)[] = [];
    const reach = () => reachByTcp(clock, 2_000)("slow.test:8005", (problem) => problems.push(problem));
    reach();
    clock.advance(4_999);
    expect([lookup.askedCount(), problems]).toEqual([1, []]);
    lookup.answer("192.0.2.1");
    clock.advance(1_999);
    expect(problems).toEqual([]);
    clock.advance(1);
    expect(problems).toEqual(["no connection to slow.test:8005 within 2000 ms"]);
    reach();
    clock.advance(4_999);
    expect(problems).toHaveLength(1);
    clock.advance(1);
    expect(problems[1]).toBe("no connection to slow.test:8005 within 5000 ms");
  });

  it("finds who listens behind a name that is resolved late", async () => {
    const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const lookup = scriptLookup();
    const clock = new ManualClock();
    const found = new Promise<string | null>((resolve) =>
      reachByTcp(clock, 2_000)(`slow.test:${(server.address() as AddressInfo).port}`, resolve),
    );
    clock.advance(4_999);
    lookup.answer("127.0.0.1");
    expect(await found).toBeNull();
  });

  it("waits for the first address of several for longer than a SYN takes that was lost", async () => {
    const lookup = scriptLookup();
    const { port, free } = await startBusyListener();
    const found = problemOf(`two.test:${port}`);
    // The first SYN goes now, and is dropped; the kernel sends the second after 1 s. Nobody listens at the other.
    lookup.answer("127.0.0.1", "::1");
    await new Promise((resolve) => setImmediate(resolve));
    free();
    expect(await found).toBeNull();
  });

  it.each(["[", "a", "a:", ":1", "a:0", "a:65536"])(
    "leaves %s, which is no host:port, to whoever opens streams",
    async (address) => {
      expect(await problemOf(address)).toBeNull();
    },
  );
});
