import { describe, expect, it } from "vitest";
import { testSet } from "./config/worker-config.test-entities.ts";
import type { EndpointSet } from "./config/worker-config.ts";
import { change, config, encoded, rig } from "./worker-group.test-rig.ts";

describe("WorkerDelivery", () => {
  it("sends a change to those that serve, and all of it, as it is then, to those that begin", async () => {
    const { group, until } = rig({ count: 1 });
    await group.start();
    await group.deliver(config(1));
    let sets: EndpointSet[] = [];
    const update = { ...change(2, "die-later,0"), whole: () => encoded(2, "serve", sets) };
    sets = [testSet([], { poolKey: "p" }), testSet([], { poolKey: "q" })];
    expect(await group.deliver(update)).toMatchObject({ ok: true });
    await until(/^lost 0/);
    expect(await group.deliver({ ...update, ...{ publication: 3, change: change(3).change } })).toMatchObject({
      ok: true,
    });
    expect((await group.counters())["setCount"]).toBe(2);
  });

  it("sends all of a config to one worker after the other", async () => {
    const { group } = rig({ count: 2 });
    await group.start();
    await group.deliver(config(1));
    // The second one has it only when the first has it: it never gets what the first refuses.
    expect(await group.deliver(config(2, "refuse,0"))).toMatchObject({ ok: false });
    expect((await group.counters())["configCount"]).toBe(3);
    expect(await group.deliver(config(1))).toMatchObject({ ok: true });
    expect((await group.counters())["configCount"]).toBe(5);
  });
});
