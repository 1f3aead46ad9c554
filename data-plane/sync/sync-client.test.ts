import { once } from "node:events";
import net from "node:net";
import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { stateHashOf } from "../../proto/state-hash.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { scriptedEpoch, startScriptedSyncServer } from "../../test/support/scripted-sync-server.ts";
import { cleanups, helloFacts, startClient, startServer, u1, u2 } from "../../test/support/sync-client-rig.ts";
import { startHub, until } from "../../test/support/sync-hub-rig.ts";
import type { SyncStreamOptions } from "./sync-stream.ts";

const silent = pino({ level: "silent" });

describe("startSyncClient", () => {
  it("says who it is and that it holds nothing, applies what comes and acks it", async () => {
    const server = await startServer();
    const onApplied = vi.fn();
    const { applied } = startClient([server.address], { onApplied });
    const hello = await server.nextMessage("hello");
    expect(hello.have).toBeUndefined();
    expect(hello).toMatchObject({
      nodeId: "n1",
      hostname: "h",
      capabilities: ["config.v1"],
      labels: { zone: "a" },
      workerCount: 2,
    });
    server.sendSnapshot([u1, u2], { publication: 3, revision: 30, chunkMaxBytes: 1 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 3n, stateHash: stateHashOf([u1, u2]) });
    expect(applied).toEqual([
      {
        epoch: { counter: 1, id: new Uint8Array(scriptedEpoch.id) },
        publication: 3,
        revision: 30,
        stateHash: stateHashOf([u1, u2]),
        entities: [plain(u1), plain(u2)],
      },
    ]);
    expect(onApplied).toHaveBeenCalledExactlyOnceWith(applied[0]);
  });

  it("tells the next control plane what it holds, and acks a duplicate without work", async () => {
    const server = await startServer();
    const { applied, clock, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    server.dropStreams();
    await stateWhere(({ connection }) => connection === "waiting");
    clock.advance(200);
    expect((await server.nextMessage("hello")).have).toMatchObject({
      publication: 3n,
      stateHash: stateHashOf([u1]),
      epoch: { counter: 1n },
    });
    server.sendSnapshot([u1], { publication: 3 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 3n });
    server.sendSnapshot([u1], { publication: 2 });
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 2n });
    expect(applied).toHaveLength(1);
  });

  it("acks on a new stream what it applied while the old one broke", async () => {
    const server = await startServer();
    let finish = () => {};
    const { clock, serve, stateWhere } = startClient([server.address], {
      apply: (snapshot) =>
        new Promise((resolve) => {
          finish = () => resolve(serve(snapshot));
        }),
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    server.send({ case: "delta", value: { publication: 2n } });
    await server.nextMessage("nack");
    server.dropStreams();
    await stateWhere(({ connection }) => connection === "waiting");
    clock.advance(200);
    expect((await server.nextMessage("hello")).have).toBeUndefined();
    server.sendSnapshot([u1], { publication: 1 });
    server.send({ case: "delta", value: { publication: 2n } });
    await server.nextMessage("nack");
    finish();
    expect(await server.nextMessage("ack")).toMatchObject({ publication: 1n });
  });

  it("answers what it cannot do and leaves alone what it does not know", async () => {
    const server = await startServer();
    startClient([server.address]);
    await server.nextMessage("hello");
    server.send({ case: "drain", value: {} });
    server.send({ case: undefined });
    server.send({ case: "snapshotEnd", value: { publication: 3n } });
    server.send({ case: "snapshotChunk", value: { publication: 3n } });
    server.send({ case: "query", value: { id: 7n, kind: "explain" } });
    expect(await server.nextMessage("queryResult")).toMatchObject({ id: 7n, problem: expect.any(String) });
    server.send({ case: "delta", value: { publication: 4n } });
    expect(await server.nextMessage("nack")).toMatchObject({ publication: 4n, reason: "invalid_delta" });
    expect(server.streams).toHaveLength(1);
  });

  it("answers questions, each when it can", async () => {
    const server = await startServer();
    const answers = new Map<string, (answer: Uint8Array) => void>();
    startClient([server.address], {
      answerQuery(kind, body) {
        const asked = Buffer.from(body).toString();
        if (kind !== "known") return null;
        if (asked === "bad") return Promise.reject(new Error("no question"));
        return new Promise((resolve) => answers.set(asked, resolve));
      },
    });
    await server.nextMessage("hello");
    const ask = (id: bigint, kind: string, body: string) => {
      server.send({ case: "query", value: { id, kind, body: Buffer.from(body) } });
    };
    ask(1n, "known", "slow");
    ask(2n, "known", "bad");
    ask(3n, "unknown", "");
    expect(await server.nextMessage("queryResult")).toMatchObject({ id: 2n, problem: "no question" });
    expect(await server.nextMessage("queryResult")).toMatchObject({
      id: 3n,
      problem: "this node answers no such query",
    });
    answers.get("slow")!(Buffer.from("done"));
    const result = await server.nextMessage("queryResult");
    expect({ ...result, body: Buffer.from(result.body).toString() }).toMatchObject({
      id: 1n,
      body: "done",
      problem: "",
    });
  });

  it("ends what it was answering when it is cancelled, and when its stream ends", async () => {
    const server = await startServer();
    const asked: AbortSignal[] = [];
    startClient([server.address], {
      answerQuery: (_kind, _body, signal) => {
        asked.push(signal);
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    await server.nextMessage("hello");
    for (const id of [1n, 2n]) server.send({ case: "query", value: { id, kind: "drained" } });
    server.send({ case: "cancelQuery", value: { id: 1n } });
    server.send({ case: "delta", value: { publication: 2n } });
    await server.nextMessage("nack");
    expect(asked.map(({ aborted }) => aborted)).toEqual([true, false]);
    const ended = once(asked[1]!, "abort");
    server.dropStreams();
    await ended;
  });

  it("tells each stream what the node sees, from the beginning", async () => {
    const server = await startServer();
    const { clock, stateWhere } = startClient([server.address], {
      observations: { takeAll: () => [{ address: "10.0.0.1:80", healthy: true }], takeChanged: () => [] },
    });
    for (let round = 0; round < 2; round++) {
      await server.nextMessage("hello");
      server.send({ case: "upToDate", value: { publication: 0n } });
      const told = await server.nextMessage("observations");
      expect(told).toMatchObject({ isStartOfAll: true, observations: [{ address: "10.0.0.1:80", healthy: true }] });
      server.dropStreams();
      await stateWhere(({ connection }) => connection === "waiting");
      clock.advance(200);
    }
  });

  it("beats with what it serves", async () => {
    const server = await startServer();
    const { clock } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    clock.advance(10_000);
    expect(await server.nextMessage("heartbeat")).toMatchObject({ publication: 3n, stateHash: stateHashOf([u1]) });
  });

  it("tells what it serves at once when it is asked to", async () => {
    const server = await startServer();
    const { client } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    client.tellServed();
    expect(await server.nextMessage("heartbeat")).toMatchObject({ publication: 3n });
  });

  it("leaves a control plane that fell silent, even though its connection lives", async () => {
    const server = await startServer({ heartbeatMs: 0 });
    const { clock, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    await stateWhere(({ connection }) => connection === "connected");
    clock.advance(15_000);
    const { problem } = await stateWhere(({ connection }) => connection === "waiting");
    expect(problem).toBe("the control plane fell silent");
    clock.advance(200);
    await server.nextMessage("hello");
  });

  it("gives up on a control plane that takes connections and answers nothing", async () => {
    const sockets: net.Socket[] = [];
    const mute = net.createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      mute.close();
    });
    const { clock, stateWhere } = startClient([`127.0.0.1:${(mute.address() as net.AddressInfo).port}`]);
    await stateWhere(({ controlPlane }) => controlPlane !== null);
    clock.advance(5_000);
    const { problem } = await stateWhere(({ connection }) => connection === "waiting");
    expect(problem).toBe("no answer within the connect timeout");
    // As long as it took was pause enough.
    expect(clock.nextDelayMs()).toBe(100);
  });

  it("tries again after an address that is none", async () => {
    const server = await startServer();
    const { stateWhere } = startClient(["[", server.address]);
    await stateWhere(({ connection }) => connection === "waiting");
    await server.nextMessage("hello");
  });

  it("tries the other control plane at once", async () => {
    const first = await startServer();
    const gone = await startScriptedSyncServer();
    await gone.close();
    // A random of 0.5 leaves two addresses in their order.
    const { stateWhere, states } = startClient([gone.address, first.address]);
    expect((await stateWhere(({ connection }) => connection === "connected")).controlPlane).toBe(first.address);
    expect(states[0]).toMatchObject({ connection: "waiting", controlPlane: gone.address });
  });

  it("comes again when a control plane that had no room has said so", async () => {
    const { hub, clock: hubClock } = await startHub({ helloMaxPerSecond: 1 });
    const address = `127.0.0.1:${hub.addresses[0]!.port}`;
    const first = startClient([address]);
    await first.stateWhere(({ connection }) => connection === "connected");
    await until(hub, (fleet) => fleet.nodes().length === 1);
    const second = startClient([address], { hello: { ...helloFacts, nodeId: "n2" } });
    const { problem } = await second.stateWhere(({ connection }) => connection === "waiting");
    expect(problem).toBe("too many nodes come at once");
    // The time that it was told, and half of the first random wait.
    expect(second.clock.nextDelayMs()).toBe(1_100);
    hubClock.advance(1_000);
    second.clock.advance(1_100);
    await until(hub, (fleet) => fleet.nodes().length === 2);
  });

  it("looks for a control plane that is gone once a second, however long that lasts, and says it once", async () => {
    const gone = await startScriptedSyncServer();
    await gone.close();
    const warn = vi.fn();
    const { client, clock, states } = startClient([gone.address], { log: { ...silent, warn } as never });
    for (let i = 0; i < 20; i++) {
      while (clock.nextDelayMs() !== 900) await new Promise((resolve) => setImmediate(resolve));
      expect(client.state).toMatchObject({ connection: "waiting", problem: expect.stringContaining("ECONNREFUSED") });
      clock.advance(900);
    }
    expect(warn).toHaveBeenCalledTimes(1);
    expect(new Set(states.map(({ connection }) => connection))).toEqual(new Set(["waiting"]));
  });

  it("says of each of several that are gone why, once, and again when that is another", () => {
    const clock = new ManualClock();
    const warn = vi.fn();
    const reasons = new Map([
      ["10.0.0.1:8005", "refused"],
      ["10.0.0.2:8005", "refused too"],
    ]);
    const reach = vi.fn((address: string, done: (problem: string) => void) =>
      clock.after(1, () => done(reasons.get(address)!)),
    );
    startClient([...reasons.keys()], { clock, reach, log: { ...silent, warn } as never });
    const told = () => warn.mock.calls.map(([{ controlPlane, reason }]) => `${controlPlane} ${reason}`).sort();
    clock.advance(60_000);
    for (const address of reasons.keys())
      expect(reach.mock.calls.filter(([asked]) => asked === address).length).toBeGreaterThan(50);
    expect(told()).toEqual(["10.0.0.1:8005 refused", "10.0.0.2:8005 refused too"]);
    reasons.set("10.0.0.2:8005", "too far");
    clock.advance(60_000);
    expect(told()).toEqual(["10.0.0.1:8005 refused", "10.0.0.2:8005 refused too", "10.0.0.2:8005 too far"]);
  });

  it("waits longer each time for a control plane that is there and takes no stream", async () => {
    const closing = net.createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => closing.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => {
      closing.close();
    });
    const { clock, stateWhere } = startClient([`127.0.0.1:${(closing.address() as net.AddressInfo).port}`]);
    const delays: (number | null)[] = [];
    for (let i = 0; i < 8; i++) {
      await stateWhere(({ connection }) => connection === "connecting");
      await stateWhere(({ connection }) => connection === "waiting");
      const delayMs = clock.nextDelayMs();
      delays.push(delayMs);
      clock.advance(delayMs ?? 0);
    }
    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  it("loses no more than the stream to a holder that throws, and nothing to a listener", async () => {
    const server = await startServer();
    let isBroken = false;
    const { clock, stateWhere } = startClient([server.address], {
      holding: () => {
        if (isBroken) throw new Error("broken holder");
        return null;
      },
      onApplied: () => {
        throw new Error("broken listener");
      },
    });
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 1 });
    await server.nextMessage("ack");
    isBroken = true;
    server.sendSnapshot([u1], { publication: 2 });
    await stateWhere(({ connection }) => connection === "waiting");
    isBroken = false;
    clock.advance(200);
    await server.nextMessage("hello");
  });

  it("is closed for good", async () => {
    const server = await startServer();
    const { client, clock, states } = startClient([server.address]);
    await server.nextMessage("hello");
    client.close();
    expect(client.state.connection).toBe("closed");
    expect(clock.nextDelayMs()).toBeNull();
    client.close();
    expect(states.filter(({ connection }) => connection === "closed")).toHaveLength(1);
  });

  it.each(["waiting", "connecting", "connected", "without its stream"] as const)(
    "is closed for good by whoever hears that it is %s",
    (when) => {
      const clock = new ManualClock();
      const streams: SyncStreamOptions[] = [];
      let closedCount = 0;
      const rig = startClient(["a"], {
        clock,
        reach: (_address, done) => clock.after(1, () => done(when === "waiting" ? "refused" : null)),
        openStream: (told) => {
          streams.push(told);
          return { isBacklogged: false, send: () => {}, close: () => void closedCount++ };
        },
        onState: ({ connection, problem }) => {
          if (when === "without its stream" ? problem === "ended" : connection === when) rig.client.close();
        },
      });
      clock.advance(1);
      streams[0]?.onOpen();
      if (when === "without its stream") streams[0]!.onClose({ reason: "ended", retryAfterMs: 0 });
      expect(rig.client.state.connection).toBe("closed");
      expect(clock.nextDelayMs()).toBeNull();
      // One that has ended by itself is not closed any more.
      const counts = { waiting: [0, 0], connecting: [0, 0], connected: [1, 1], "without its stream": [1, 0] };
      expect([streams.length, closedCount]).toEqual(counts[when]);
    },
  );
});

function plain({ kind, id, body }: { kind: string; id: string; body: Uint8Array }) {
  return { kind, id, body: new Uint8Array(body) };
}
