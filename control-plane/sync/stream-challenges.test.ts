import { EventEmitter } from "node:events";
import { status } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { isSettled, startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";
import { StreamChallenges } from "./stream-challenges.ts";

/** A node that runs twice: the first process was replaced by a second one, and wants its place back. */
async function startTwins() {
  const rig = await startHub();
  const comes = async (instance: string) => {
    const node = rig.connect();
    node.hello("n1", undefined, [], instance);
    await node.answered;
    return node;
  };
  const first = await comes("a");
  await until(rig.hub, (fleet) => fleet.nodes().some(({ isConnected }) => isConnected));
  const second = await comes("b");
  expect((await first.ended).code).toBe(status.ABORTED);
  const back = await comes("a");
  expect(await back.ended).toMatchObject({
    code: status.ALREADY_EXISTS,
    details: expect.stringContaining("runs twice"),
  });
  const { id, kind } = (await second.next("query")).value;
  expect(kind).toBe("alive");
  return {
    ...rig,
    comes,
    second,
    answer: () => second.send({ case: "queryResult", value: { id, problem: "none such" } }),
  };
}

describe("StreamChallenges", () => {
  it("gives the place of a process that does not answer to the one that comes back", async () => {
    const { clock, comes, second } = await startTwins();
    clock.advance(1_999);
    expect((await (await comes("a")).ended).code).toBe(status.ALREADY_EXISTS);
    // It is asked once at a time.
    expect(second.unreadCount("query")).toBe(0);
    clock.advance(1);
    expect((await second.ended).code).toBe(status.UNAVAILABLE);
    const back = await comes("a");
    await back.nextSnapshot();
    // Whoever it was may come back as well, and is the one that runs twice then only if this one lives.
    expect(await isSettled(back.ended)).toBe(false);
  });

  it("goes on refusing it where the other process lives, which keeps its stream", async () => {
    const { clock, comes, second, answer } = await startTwins();
    answer();
    await turnsOfTheLoop();
    clock.advance(10_000);
    expect(await isSettled(second.ended)).toBe(false);
    expect((await (await comes("a")).ended).code).toBe(status.ALREADY_EXISTS);
    expect((await second.next("query")).value.kind).toBe("alive");
  });

  it.each(["left", "connected"] as const)("asks a stream nothing more after the node has %s", (how) => {
    const clock = new ManualClock();
    const challenges = new StreamChallenges(clock);
    const ended: string[] = [];
    const connect = (name: string) => {
      const call = Object.assign(new EventEmitter(), { write: () => true });
      challenges.connected("n1", { end: () => void ended.push(name) }, call as never);
      return call;
    };
    const former = connect("former");
    challenges.challenge("n1");
    if (how === "left") challenges.left("n1");
    else connect("later");
    clock.advance(10_000);
    expect([ended, former.listenerCount("data")]).toEqual([[], 0]);
  });
});
