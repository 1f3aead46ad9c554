import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import type { NodeMessage } from "./sync-stream.ts";
import { type EndpointTraffic, TrafficReports } from "./traffic-reports.ts";

interface Sent {
  readonly count: number;
  readonly isStartOfAll: boolean;
  readonly look: number;
  /** null: absent. */
  readonly intervalMs: number | null;
}

/** A source with as many endpoints as the test says, and the reports that were sent. */
function rig(allCount = 0) {
  const clock = new ManualClock();
  const sent: Sent[] = [];
  function* endpoints(count: number, pieceMax: number) {
    // With an empty piece, as where a long search has found nothing so far.
    yield [];
    for (let left = count; left > 0; left -= pieceMax)
      yield Array.from({ length: Math.min(left, pieceMax) }, (_, i): EndpointTraffic => ({ address: `a${i}` }));
  }
  const state = { changed: 0, isBacklogged: false, askedCount: 0 };
  const source = {
    takeAll: (pieceMax: number) => endpoints(allCount, pieceMax),
    takeChanged(pieceMax: number) {
      state.askedCount++;
      return endpoints(state.changed, pieceMax);
    },
  };
  const stream = {
    get isBacklogged() {
      return state.isBacklogged;
    },
    send(message: NodeMessage) {
      if (message?.case !== "traffic") throw new Error("another message");
      const { endpoints: told = [], isStartOfAll = false, look = 0n, interval } = message.value;
      const intervalMs =
        interval === undefined ? null : Number(interval.seconds ?? 0n) * 1e3 + (interval.nanos ?? 0) / 1e6;
      sent.push({ count: told.length, isStartOfAll, look: Number(look), intervalMs });
    },
  };
  const reports = new TrafficReports(source, clock);
  return { clock, sent, state, reports, stream };
}

describe("TrafficReports", () => {
  it("tells all of it on a new stream, in messages of a thousand, and says so when there is nothing", () => {
    const { clock, sent, reports, stream } = rig(2_500);
    reports.start(stream);
    // Each message in a turn of its own.
    expect(sent).toEqual([]);
    clock.advance(0);
    const first = { look: 0, intervalMs: null };
    expect(sent).toEqual([
      { count: 1_000, isStartOfAll: true, ...first },
      { count: 1_000, isStartOfAll: false, ...first },
      { count: 500, isStartOfAll: false, ...first },
    ]);
    const empty = rig();
    empty.reports.start(empty.stream);
    empty.clock.advance(0);
    expect(empty.sent).toEqual([{ count: 0, isStartOfAll: true, ...first }]);
  });

  it("tells every two seconds what has changed, then once that nothing has, and then no more", () => {
    const { clock, sent, state, reports, stream } = rig();
    reports.start(stream);
    clock.advance(0);
    sent.length = 0;
    clock.advance(10_000);
    expect([sent, state.askedCount]).toEqual([[], 5]);
    state.changed = 1_001;
    clock.advance(2_000);
    state.changed = 0;
    clock.advance(20_000);
    expect(sent).toEqual([
      { count: 1_000, isStartOfAll: false, look: 6, intervalMs: 2_000 },
      { count: 1, isStartOfAll: false, look: 6, intervalMs: 2_000 },
      { count: 0, isStartOfAll: false, look: 7, intervalMs: 2_000 },
    ]);
  });

  it("looks less often where much changes", () => {
    const { clock, sent, state, reports, stream } = rig();
    reports.start(stream);
    clock.advance(0);
    sent.length = 0;
    state.changed = 5_000;
    clock.advance(2_000);
    state.changed = 1;
    clock.advance(4_999);
    expect(sent).toHaveLength(5);
    clock.advance(1);
    expect(sent.at(-1)).toEqual({ count: 1, isStartOfAll: false, look: 2, intervalMs: 5_000 });
  });

  it("puts a look off while what was sent is on its way, and measures the longer interval", () => {
    const { clock, sent, state, reports, stream } = rig();
    reports.start(stream);
    clock.advance(0);
    sent.length = 0;
    Object.assign(state, { changed: 1, isBacklogged: true });
    clock.advance(6_000);
    expect([sent, state.askedCount]).toEqual([[], 0]);
    state.isBacklogged = false;
    clock.advance(2_000);
    expect(sent).toEqual([{ count: 1, isStartOfAll: false, look: 1, intervalMs: 8_000 }]);
  });

  it("ends with the stream, and begins anew on the next", () => {
    const { clock, sent, state, reports, stream } = rig(3);
    reports.start(stream);
    clock.advance(0);
    state.changed = 1;
    clock.advance(2_000);
    reports.stop();
    sent.length = 0;
    clock.advance(10_000);
    expect([sent, clock.nextDelayMs()]).toEqual([[], null]);
    reports.start(stream);
    clock.advance(0);
    expect(sent).toEqual([{ count: 3, isStartOfAll: true, look: 0, intervalMs: null }]);
  });
});
