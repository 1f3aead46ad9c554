import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { type Observation, ObservationReports } from "./observation-reports.ts";
import type { NodeMessage } from "./sync-stream.ts";

/** A source of as many observations as the test says, and the messages that were sent. */
function rig(given: { all?: number }) {
  const clock = new ManualClock();
  const messages: { count: number; isStartOfAll: boolean }[] = [];
  const observations = (count: number) => Array.from({ length: count }, (_, i): Observation => ({ address: `a${i}` }));
  const state = { changed: 0, counted: 0, isBacklogged: false };
  const reports = new ObservationReports(
    {
      takeAll: () => observations(given.all ?? 0),
      takeChanged(withCounts) {
        const count = state.changed + (withCounts ? state.counted : 0);
        state.changed = 0;
        return observations(count);
      },
    },
    clock,
  );
  const stream = {
    get isBacklogged() {
      return state.isBacklogged;
    },
    send(message: NodeMessage) {
      const value = message?.value as { observations: unknown[]; isStartOfAll: boolean };
      messages.push({ count: value.observations.length, isStartOfAll: value.isStartOfAll });
    },
  };
  return { clock, messages, state, reports, stream };
}

describe("ObservationReports", () => {
  it("tells all of it on a new stream, in messages of a thousand", () => {
    const { messages, reports, stream } = rig({ all: 2_500 });
    reports.start(stream);
    expect(messages).toEqual([
      { count: 1_000, isStartOfAll: true },
      { count: 1_000, isStartOfAll: false },
      { count: 500, isStartOfAll: false },
    ]);
  });

  it("says so when there is nothing: what was told before is void", () => {
    const { messages, reports, stream } = rig({});
    reports.start(stream);
    expect(messages).toEqual([{ count: 0, isStartOfAll: true }]);
  });

  it("tells what has changed once a second, and nothing when nothing has", () => {
    const { clock, messages, state, reports, stream } = rig({});
    reports.start(stream);
    messages.length = 0;
    clock.advance(1_000);
    expect(messages).toEqual([]);
    state.changed = 3;
    clock.advance(999);
    expect(messages).toEqual([]);
    clock.advance(1);
    expect(messages).toEqual([{ count: 3, isStartOfAll: false }]);
  });

  it("tells counters every thirty seconds", () => {
    const { clock, messages, state, reports, stream } = rig({});
    reports.start(stream);
    messages.length = 0;
    state.counted = 2;
    for (let second = 0; second < 60; second++) clock.advance(1_000);
    expect(messages).toEqual([
      { count: 2, isStartOfAll: false },
      { count: 2, isStartOfAll: false },
    ]);
  });

  it("waits while what was sent is on its way, and ends with the stream", () => {
    const { clock, messages, state, reports, stream } = rig({});
    reports.start(stream);
    messages.length = 0;
    Object.assign(state, { changed: 1, isBacklogged: true });
    clock.advance(5_000);
    expect(messages).toEqual([]);
    state.isBacklogged = false;
    clock.advance(1_000);
    expect(messages).toHaveLength(1);
    reports.stop();
    state.changed = 1;
    clock.advance(5_000);
    expect(messages).toHaveLength(1);
  });
});
