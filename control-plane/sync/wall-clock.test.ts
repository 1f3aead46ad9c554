import { describe, expect, it } from "vitest";
import { serviceDraft } from "../../test/support/drafts.ts";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { all, isSettled, startHub, turnsOfTheLoop, until } from "../../test/support/sync-hub-rig.ts";
import { openAdmin } from "../admin/admin.ts";
import type { Commit } from "../store/store.ts";

const hourMs = 3_600_000;

/** A clock whose face on the wall somebody sets. */
class SettableClock extends ManualClock {
  wallOffsetMs = 0;

  override unixMs(): number {
    return super.unixMs() + this.wallOffsetMs;
  }
}

describe("row 9: wall clocks that are set by an hour, forward and back", () => {
  it("reorder no write: the later one counts, and the revisions grow one by one", async () => {
    const store = new MemoryStore();
    const clock = new SettableClock();
    const admin = openAdmin(store, () => clock.unixMs());
    const commits: Commit[] = [];
    store.onCommit((commit) => commits.push(commit));
    const created = await admin.service.create(serviceDraft({ name: "s", host: "a.test" }));
    expect(created.ok).toBe(true);
    const ports = [81, 82, 83, 84];
    for (const [i, port] of ports.entries()) {
      clock.wallOffsetMs = [hourMs, -hourMs, 0, -hourMs][i]!;
      expect((await admin.service.update({ key: "s" }, serviceDraft({ port }))).ok).toBe(true);
      expect(admin.service.get({ key: "s" })).toMatchObject({ ok: true, value: { port } });
    }
    expect(commits.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5]);
  });

  it("end no stream and no wait, and have every change reach its node in order", async () => {
    const clock = new SettableClock();
    const { hub, fleet, store, connectServing } = await startHub({ clock });
    const node = await connectServing("n1");
    const publications: number[] = [];
    for (const [i, wallOffsetMs] of [hourMs, -hourMs, 0].entries()) {
      // A change after a quiet time goes out at once.
      clock.advance(1_000);
      const waited = fleet.waitForRevision(store.putUpstream(`u${i}`), all);
      clock.wallOffsetMs = wallOffsetMs;
      await turnsOfTheLoop();
      // It is over when the node serves the change, or by the time that has passed.
      expect(await isSettled(waited)).toBe(false);
      const { begin } = await node.ackNextSnapshot();
      publications.push(Number(begin.publication));
      expect(await waited).toEqual({ appliedCount: 1, nodeCount: 1 });
      expect(fleet.nodes()).toMatchObject([{ id: "n1", isConnected: true, lag: 0, stateReason: "" }]);
    }
    expect(publications).toEqual([...publications].sort((left, right) => left - right));
    const waited = fleet.waitForRevision(store.putUpstream("last"), all);
    clock.wallOffsetMs = hourMs;
    clock.advance(all.timeoutMs - 1);
    expect(await isSettled(waited)).toBe(false);
    clock.advance(1);
    expect(await waited).toEqual({ appliedCount: 0, nodeCount: 1 });
    await until(hub, (seen) => seen.nodes()[0]?.isConnected === true);
  });
});
