import { credentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import type { ScriptedSyncServer } from "../../test/support/scripted-sync-server.ts";
import { startClient, startServer } from "../../test/support/sync-client-rig.ts";
import { SyncStream } from "./sync-stream.ts";

/** A client with an open stream, and the way to have it show something newer. */
async function connectedClient() {
  const server = await startServer();
  let renew = () => {};
  const closes: string[] = [];
  let onClosed = (_count: number) => {};
  const started = startClient([server.address], {
    access: {
      access: () => ({ ok: true, credentials: credentials.createInsecure(), channelOptions: {} }),
      onRenewed: (run) => {
        renew = run;
      },
    },
    openStream: (options) =>
      new SyncStream({
        ...options,
        onClose: (end) => {
          options.onClose(end);
          onClosed(closes.push(end.reason));
        },
      }),
    answerQuery: async () => Buffer.from("answer"),
  });
  await server.nextMessage("hello");
  await started.stateWhere(({ connection }) => connection === "connected");
  /** Resolves when so many streams have come to their end on the node's side. */
  const closed = (count: number) =>
    new Promise<void>((resolve) => {
      onClosed = (now) => {
        if (now === count) resolve();
      };
      onClosed(closes.length);
    });
  const renewed = async () => {
    renew();
    await server.nextMessage("hello");
  };
  return { ...started, server, renewed, closed };
}

/** Of which stream the node answers what is asked on the newest open one. */
async function answeringStream(server: ScriptedSyncServer, id: bigint): Promise<number> {
  server.send({ case: "query", value: { id, kind: "any" } });
  expect(await server.nextMessage("queryResult")).toMatchObject({ id, problem: "" });
  return server.streams.findIndex(({ received }) =>
    received.some((message) => message.case === "queryResult" && message.value.id === id),
  );
}

describe("a stream of a node that has something newer to show", () => {
  it("is given up for another one when the control plane speaks on that, and not before", async () => {
    const { server, renewed, closed, states } = await connectedClient();
    const stateCount = states.length;
    await renewed();
    expect(server.streams.map(({ isOpen }) => isOpen)).toEqual([true, true]);
    server.send({ case: "heartbeat", value: { publication: 1n } });
    await closed(1);
    expect(await answeringStream(server, 7n)).toBe(1);
    expect(states.slice(stateCount).map(({ connection }) => connection)).not.toContain("waiting");
    expect(server.streams).toHaveLength(2);
  });

  it("is given up for another one when the control plane ends it, having taken that", async () => {
    const { server, renewed, closed, client } = await connectedClient();
    await renewed();
    server.streams[0]!.drop();
    await closed(1);
    expect(client.state).toMatchObject({ connection: "connected", problem: null });
    expect(await answeringStream(server, 7n)).toBe(1);
    expect(server.streams).toHaveLength(2);
  });

  it("goes on when the other one is not taken", async () => {
    const { server, renewed, closed, client } = await connectedClient();
    await renewed();
    server.streams[1]!.drop();
    await closed(1);
    expect(client.state).toMatchObject({ connection: "connected", problem: null });
    expect(await answeringStream(server, 7n)).toBe(0);
  });

  it("ends together with the other one, and with one that is replaced by a third", async () => {
    const { server, renewed, closed, client } = await connectedClient();
    await renewed();
    await renewed();
    await closed(1);
    client.close();
    await closed(3);
    expect(client.state.connection).toBe("closed");
    expect(server.streams).toHaveLength(3);
  });
});
