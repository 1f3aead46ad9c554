import { describe, expect, it } from "vitest";
import { latencyBucket } from "../../proto/latency-buckets.ts";
import { testEndpoint, testSet } from "../config/worker-config.test-entities.ts";
import { EndpointCounts } from "../telemetry/endpoint-counts.ts";
import { EndpointTotals } from "../telemetry/endpoint-totals.ts";
import { EndpointRows } from "../upstream/endpoint-rows.ts";
import { EndpointTable } from "../upstream/endpoint-table.ts";
import { TrafficChanges } from "./traffic-changes.ts";
import type { EndpointTraffic } from "./traffic-reports.ts";

const keepMs = 1_000;

/** A node with an upstream, a worker, and the endpoints that the test names by their last octet. */
function rig() {
  const totals = new EndpointTotals();
  const table = EndpointTable.create({ endpointRowsMax: 20, poolRowsMax: 2 });
  const rows = new EndpointRows(table, keepMs, (row) => totals.clear(row));
  const poolRow = rows.poolRow("upstream:u")!;
  const worker = new EndpointCounts((index, buffer) => totals.add(0, index, buffer));
  let used: readonly number[] = [];
  let sequence = 0;
  let nowMs = 0;
  const use = (hosts: readonly number[], targetId = "t") => {
    used = hosts.map(
      (host) =>
        rows.endpointRow({
          ...{ targetId, poolKey: "upstream:u", host: `h${host}` },
          ...{ address: host === 6 ? "fd00::1" : `10.0.0.${host}`, port: 80 },
        })!,
    );
    rows.sent(++sequence, new Set(["upstream:u"]), new Set(used), nowMs);
    rows.sweep(nowMs);
    rows.confirmed(sequence);
    return used;
  };
  const sets = () => [testSet(used.map((row) => testEndpoint({ row })))];
  const source = new TrafficChanges({ table, rows, totals, sets });
  const changes = {
    takeAll: () => [...source.takeAll(1_000)].flat(),
    takeChanged: () => [...source.takeChanged(1_000)].flat(),
  };
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { table, poolRow, worker, use, pass, source, changes };
}

/** What differs between reports, by address. */
const brief = (told: readonly EndpointTraffic[]) =>
  told.map(({ address, targetId, requestCount, inFlight, gone }) =>
    gone === true ? `${targetId} ${address} gone` : `${targetId} ${address} ${requestCount} (${inFlight})`,
  );

describe("TrafficChanges", () => {
  it("tells of what was sent something, with every count, and of nothing twice", () => {
    const { worker, use, changes } = rig();
    const [first, second] = use([1, 6, 3]);
    expect(changes.takeChanged()).toEqual([]);
    worker.requested(first!);
    worker.answered(first!, 404, 3);
    worker.answered(first!, 503, 3);
    worker.answered(second!, 200, 80);
    worker.lost(second!);
    worker.ejected(second!);
    const none = { clientErrorCount: 0n, serverErrorCount: 0n, lossCount: 0n, ejectionCount: 0n, inFlight: 0 };
    expect(changes.takeChanged()).toEqual([
      {
        ...{ upstreamId: "u", targetId: "t", address: "10.0.0.1:80", ...none },
        ...{ requestCount: 1n, answerCount: 2n, clientErrorCount: 1n, serverErrorCount: 1n },
        ...{ latencyBuckets: [latencyBucket(3)], latencyCounts: [2] },
      },
      {
        ...{ upstreamId: "u", targetId: "t", address: "[fd00::1]:80", ...none },
        ...{ requestCount: 0n, answerCount: 1n, lossCount: 1n, ejectionCount: 1n },
        ...{ latencyBuckets: [latencyBucket(80)], latencyCounts: [1] },
      },
    ]);
    expect(changes.takeChanged()).toEqual([]);
    worker.answered(first!, 200, 3);
    worker.answered(first!, 200, 100);
    const [again, ...others] = changes.takeChanged();
    expect(others).toEqual([]);
    // Counts since ever, answers of the interval.
    expect([again?.answerCount, again?.latencyBuckets, again?.latencyCounts]).toEqual([
      4n,
      [latencyBucket(3), latencyBucket(100)],
      [1, 1],
    ]);
  });

  it("tells when what is under way has ended, though nothing is counted", () => {
    const { table, poolRow, worker, use, changes } = rig();
    const [row] = use([1]);
    worker.requested(row!);
    table.attemptBegins(poolRow, row!);
    expect(brief(changes.takeChanged())).toEqual(["t 10.0.0.1:80 1 (1)"]);
    expect(changes.takeChanged()).toEqual([]);
    table.attemptEnds(poolRow, row!);
    expect(brief(changes.takeChanged())).toEqual(["t 10.0.0.1:80 1 (0)"]);
  });

  it("tells a new stream of everything once, and of no interval", () => {
    const { worker, use, changes } = rig();
    const [first, second] = use([1, 2, 3]);
    worker.answered(first!, 200, 3);
    worker.requested(second!);
    const all = changes.takeAll();
    expect(brief(all)).toEqual(["t 10.0.0.1:80 0 (0)", "t 10.0.0.2:80 1 (0)"]);
    expect(all.map(({ latencyBuckets }) => latencyBuckets)).toEqual([[], []]);
    expect(changes.takeChanged()).toEqual([]);
    expect(brief(changes.takeAll())).toEqual(brief(all));
    worker.answered(first!, 200, 5);
    expect(changes.takeChanged().map(({ latencyCounts }) => latencyCounts)).toEqual([[1]]);
  });

  it("says that an endpoint is gone when nothing is under way there any more, and counts from 0 when it is back", () => {
    const { table, poolRow, worker, use, changes } = rig();
    const [first] = use([1, 2]);
    worker.requested(first!);
    worker.answered(first!, 200, 3);
    table.attemptBegins(poolRow, first!);
    changes.takeChanged();
    use([2]);
    expect(changes.takeChanged()).toEqual([]);
    worker.lost(first!);
    expect(brief(changes.takeChanged())).toEqual(["t 10.0.0.1:80 1 (1)"]);
    table.attemptEnds(poolRow, first!);
    expect(brief(changes.takeChanged())).toEqual(["t 10.0.0.1:80 gone"]);
    expect([changes.takeChanged(), changes.takeAll()]).toEqual([[], []]);
    // Within the time that its row is kept.
    expect(use([2, 1])[1]).toBe(first);
    expect(changes.takeChanged()).toEqual([]);
    worker.requested(first!);
    worker.answered(first!, 200, 3);
    const back = changes.takeChanged();
    expect([brief(back), back[0]?.lossCount, back[0]?.latencyCounts]).toEqual([["t 10.0.0.1:80 1 (0)"], 0n, [1]]);
  });

  it("begins at 0 for another endpoint that gets the row", () => {
    const { worker, use, pass, changes } = rig();
    const [former] = use([1]);
    for (let i = 0; i < 5; i++) worker.answered(former!, 200, 3);
    changes.takeChanged();
    use([2]);
    pass(keepMs);
    use([2]);
    const [, row] = use([2, 3]);
    expect(row).toBe(former);
    worker.requested(row!);
    const told = changes.takeChanged();
    expect(brief(told)).toEqual(["t 10.0.0.1:80 gone", "t 10.0.0.3:80 1 (0)"]);
    expect([told[1]?.answerCount, told[1]?.latencyCounts]).toEqual([0n, []]);
  });

  it("tells in pieces, and later of what was not taken", () => {
    const { worker, use, source, changes } = rig();
    for (const row of use([1, 2, 3, 4, 5, 6, 7, 8, 9])) worker.requested(row);
    const [first, second] = source.takeChanged(4);
    expect([first, second].map((piece) => piece?.length)).toEqual([3, 3]);
    expect(changes.takeChanged()).toHaveLength(3);
    expect([...source.takeAll(4)].map((piece) => piece.length)).toEqual([3, 3, 3, 0]);
  });

  it("takes a target that was deleted and made anew for another one", () => {
    const { worker, use, changes } = rig();
    const [row] = use([1], "old");
    for (let i = 0; i < 3; i++) worker.requested(row!);
    changes.takeChanged();
    use([1], "new");
    expect(brief(changes.takeChanged())).toEqual(["old 10.0.0.1:80 gone"]);
    worker.requested(row!);
    expect(brief(changes.takeChanged())).toEqual(["new 10.0.0.1:80 1 (0)"]);
  });
});
