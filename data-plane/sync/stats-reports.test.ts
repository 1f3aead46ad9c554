import { describe, expect, it } from "vitest";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { StatsReports, type StatsSource } from "./stats-reports.ts";
import type { NodeMessage } from "./sync-stream.ts";

class FakeStream {
  readonly sent: NodeMessage[] = [];
  isBacklogged = false;

  send(message: NodeMessage): void {
    this.sent.push(message);
  }

  get told() {
    const sent = this.sent as unknown as { value: { requestCount: bigint; interval?: { seconds: bigint } } }[];
    return sent.map(({ value: { requestCount, interval } }) => {
      return [Number(requestCount), interval === undefined ? null : Number(interval.seconds)];
    });
  }
}

function start(source?: StatsSource) {
  let requestCount = 0n;
  const clock = new ManualClock();
  const reports = new StatsReports(source ?? (async () => ({ requestCount: ++requestCount })), clock, 5_000);
  return { clock, reports };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("StatsReports", () => {
  it("tells at once, then every 5 s, with the time between", async () => {
    const { clock, reports } = start();
    const stream = new FakeStream();
    reports.start(stream);
    await settled();
    clock.advance(4_999);
    await settled();
    expect(stream.told).toEqual([[1, null]]);
    clock.advance(1);
    await settled();
    expect(stream.told).toEqual([
      [1, null],
      [2, 5],
    ]);
    reports.stop();
    clock.advance(60_000);
    await settled();
    expect(stream.told).toHaveLength(2);
  });

  it("measures anew on another stream", async () => {
    const { clock, reports } = start();
    reports.start(new FakeStream());
    await settled();
    clock.advance(3_000);
    const second = new FakeStream();
    reports.start(second);
    await settled();
    expect(second.told).toEqual([[2, null]]);
  });

  it("leaves out what a stream does not take in, and what cannot be read", async () => {
    let isBroken = true;
    const source = async () => {
      if (isBroken) throw new Error("no worker answers");
      return { requestCount: 7n };
    };
    const { clock, reports } = start(source);
    const stream = new FakeStream();
    reports.start(stream);
    await settled();
    isBroken = false;
    stream.isBacklogged = true;
    clock.advance(5_000);
    await settled();
    expect(stream.told).toEqual([]);
    stream.isBacklogged = false;
    clock.advance(5_000);
    await settled();
    expect(stream.told).toEqual([[7, null]]);
  });

  it("tells no stream what was read for the one before", async () => {
    const read = Promise.withResolvers<{ requestCount: bigint }>();
    const { reports } = start(() => read.promise);
    const first = new FakeStream();
    reports.start(first);
    reports.stop();
    read.resolve({ requestCount: 1n });
    await settled();
    expect(first.told).toEqual([]);
  });
});
