import { describe, expect, it } from "vitest";
import { scriptedEpoch } from "../../test/support/scripted-sync-server.ts";
import { startClient, startServer, u1, u2 } from "../../test/support/sync-client-rig.ts";

describe("startSyncClient, of heartbeats", () => {
  it("says when the control plane has less than the node, after more than one sign of it", async () => {
    const server = await startServer();
    const { client, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    server.send({ case: "heartbeat", value: { publication: 2n, stateHash: Buffer.alloc(32) } });
    await stateWhere(({ newestPublication }) => newestPublication === 2);
    expect(client.state.problem).toBeNull();
    server.send({ case: "heartbeat", value: { publication: 2n, stateHash: Buffer.alloc(32) } });
    expect((await stateWhere(({ problem }) => problem !== null)).problem).toContain("publication 2");
  });

  it.each([
    {
      name: "an earlier epoch",
      epoch: { counter: 0n, id: scriptedEpoch.id },
      says: "of epoch 0, which is older than 1",
    },
    { name: "another store", epoch: { counter: 1n, id: Buffer.alloc(16, 8) }, says: "another store that has the same" },
  ])("says when the control plane is of $name, whatever its publications are numbered", async ({ epoch, says }) => {
    const server = await startServer();
    const { client, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    const value = { publication: 700n, stateHash: Buffer.alloc(32), epoch };
    server.send({ case: "heartbeat", value });
    await stateWhere(({ newestPublication }) => newestPublication === 700);
    expect(client.state.problem).toBeNull();
    server.send({ case: "heartbeat", value });
    expect((await stateWhere(({ problem }) => problem !== null)).problem).toContain(says);
    // What follows on what is held ends it.
    server.sendSnapshot([u2], { publication: 4 });
    await server.nextMessage("ack");
    expect(client.state.problem).toBeNull();
  });

  it("does not take a later epoch for less, however low its numbers", async () => {
    const server = await startServer();
    const { client, stateWhere } = startClient([server.address]);
    await server.nextMessage("hello");
    server.sendSnapshot([u1], { publication: 3 });
    await server.nextMessage("ack");
    const epoch = { counter: 2n, id: Buffer.alloc(16, 8) };
    for (const publication of [1n, 1n, 2n]) {
      server.send({ case: "heartbeat", value: { publication, stateHash: Buffer.alloc(32), epoch } });
    }
    await stateWhere(({ newestPublication }) => newestPublication === 2);
    expect(client.state.problem).toBeNull();
  });
});
