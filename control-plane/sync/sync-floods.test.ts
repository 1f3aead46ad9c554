import { describe, expect, it } from "vitest";
import { floodUntilCutOff, framesMax, http2Floods, plainTo } from "../../test/support/http2-floods.ts";
import { all, startHub, turnsOfTheLoop } from "../../test/support/sync-hub-rig.ts";

describe("S7: the sync port", () => {
  it.each(http2Floods("/penstock.sync.v1.SyncAPI/Connect"))(
    "cuts off who floods it with $name, and goes on with its nodes",
    async (flood) => {
      const { hub, fleet, store, clock, connectServing } = await startHub();
      const node = await connectServing("n1");
      expect((await floodUntilCutOff(plainTo(hub.addresses[0]!.port), flood)).frameCount).toBeLessThan(framesMax);
      await turnsOfTheLoop();
      clock.advance(1_000);
      const applied = fleet.waitForRevision(store.putUpstream("u1"), all);
      await node.ackNextSnapshot();
      expect(await applied).toEqual({ appliedCount: 1, nodeCount: 1 });
      await connectServing("n2");
    },
  );
});
