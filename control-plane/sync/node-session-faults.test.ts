import { status } from "@grpc/grpc-js";
import { pino } from "pino";
import { afterEach, describe, expect, it, vi } from "vitest";
import { startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";
import { AppliedWaits } from "./applied-waits.ts";
import { NodeSession } from "./node-session.ts";

// A fault of ours that one stream meets costs that stream: the others go on, and so does the process.

const fault = () => {
  throw new Error("a fault");
};
const failed = { code: status.INTERNAL, details: "the control plane failed on this stream" };

afterEach(() => vi.restoreAllMocks());

/** A log of which a test reads what was an error. */
function openErrorLog() {
  const errors: string[] = [];
  const log = pino({ level: "error" }, { write: (line: string) => errors.push(JSON.parse(line).msg) });
  return { log, errors };
}

describe("NodeSession", () => {
  it("ends alone where its heartbeat fails", async () => {
    const { log, errors } = openErrorLog();
    let random = () => 0.5;
    const rig = await startHub({ log, random: () => random() });
    const node = await rig.connectServing("n1");
    const other = await rig.connectServing("n2");
    random = () => {
      random = () => 0.5;
      return fault();
    };
    rig.clock.advance(15_000);
    expect(await node.ended).toMatchObject(failed);
    expect(errors).toEqual(["a node's stream failed"]);
    await other.next("heartbeat");
    rig.clock.advance(15_000);
    await other.next("heartbeat");
    expect(rig.fleet.nodes().map(({ id, isConnected }) => [id, isConnected])).toEqual([
      ["n1", false],
      ["n2", true],
    ]);
  });

  it("ends alone where something fails when its node has not answered in time", async () => {
    const { log, errors } = openErrorLog();
    const rig = await startHub({ log });
    const node = await rig.connectServing("n1");
    rig.clock.advance(1_000);
    rig.store.putUpstream("u1");
    await node.nextSnapshot();
    vi.spyOn(AppliedWaits.prototype, "check").mockImplementationOnce(fault);
    rig.clock.advance(5_000);
    expect(await node.ended).toMatchObject(failed);
    expect(errors).toEqual(["a node's stream failed"]);
  });

  it("ends alone where it fails to send a change that goes to many", async () => {
    const { log, errors } = openErrorLog();
    const rig = await startHub({ log });
    const node = await rig.connectServing("n1");
    const other = await rig.connectServing("n2");
    rig.clock.advance(1_000);
    vi.spyOn(NodeSession.prototype, "channel", "get").mockImplementationOnce(fault);
    rig.store.putUpstream("u1");
    expect(await node.ended).toMatchObject(failed);
    expect((await other.ackNextSnapshot()).entities).toHaveLength(1);
    expect(errors).toEqual(["a node's stream failed"]);
  });

  it.each(["views", "traffic"] as const)("lets go of all else where that fails of the %s", async (what) => {
    const { log, errors } = openErrorLog();
    const rig = await startHub({ log });
    const node = await rig.connectServing("n1");
    vi.spyOn(rig.hub[what], "disconnected").mockImplementationOnce(fault);
    node.close();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    await turnsOfTheLoop();
    expect(errors).toEqual(["a node's stream failed"]);
    // Its place is free, and nobody waits for it.
    expect(await rig.fleet.waitForRevision(9, { who: "all", timeoutMs: 60_000 })).toMatchObject({ nodeCount: 0 });
    await rig.connectServing("n1");
  });
});

describe("StreamHub", () => {
  it("goes on where one fails that is told that the views of a node are forgotten", async () => {
    const { log, errors } = openErrorLog();
    const rig = await startHub({ log });
    const node = await rig.connectServing("n1");
    node.observe([{ upstreamId: "u", targetId: "t", address: "127.0.0.1:80", healthy: true }]);
    await until(rig.hub, () => rig.hub.views.viewCount === 1);
    node.close();
    await until(rig.hub, (fleet) => fleet.nodes()[0]?.isConnected === false);
    rig.hub.views.onChange(fault);
    rig.clock.advance(60_000);
    expect(errors).toEqual(["a timer of a node's failed"]);
    expect(rig.hub.views.viewCount).toBe(0);
  });
});
