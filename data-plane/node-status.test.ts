import { describe, expect, it } from "vitest";
import { type NodeStatusParts, nodeStatus } from "./node-status.ts";
import { TrafficTotals } from "./status/traffic-totals.ts";
import type { SyncState } from "./sync/sync-client.ts";
import { SyncContact } from "./sync/sync-contact.ts";
import { nodeCounters } from "./telemetry/counters.ts";
import { EndpointTable } from "./upstream/endpoint-table.ts";

const connected: SyncState = {
  connection: "connected",
  controlPlane: "127.0.0.1:8005",
  sinceUnixMs: 1_000,
  newestPublication: 7,
  problem: null,
  lastRefusal: null,
};
const served = {
  epoch: { counter: 1, id: new Uint8Array(16) },
  publication: 7,
  revision: 5,
  stateHash: new Uint8Array(32).fill(0xab),
};

/** Of a node that heard of its control plane 2 s ago, when it served all that one had. */
function inContact(): SyncContact {
  let nowMs = 0;
  const contact = new SyncContact(() => nowMs);
  contact.heard();
  contact.judged(true);
  contact.judged(false);
  nowMs = 2_000;
  return contact;
}

/** The status of a node that serves publication 7 on two workers, but for what a test says. */
function statusOf(
  given: {
    served?: typeof served | null;
    servingCount?: number;
    sync?: SyncState | null;
    isDraining?: boolean;
    readyWhen?: NodeStatusParts["readyWhen"];
  } = {},
) {
  return nodeStatus({
    nodeId: "n1",
    version: "1.2.3",
    workerCount: 2,
    startedAtUnixMs: 0,
    workers: {
      listeningCount: 2,
      servingCount: given.servingCount ?? 2,
      counters: async () => ({ requests: 9, connections_active: 4 }),
      traffic: () => new TrafficTotals(10).sum([]),
    } as unknown as NodeStatusParts["workers"],
    applier: { served: given.served === undefined ? served : given.served } as NodeStatusParts["applier"],
    readmission: { ejectedCount: 1 } as NodeStatusParts["readmission"],
    names: { page: () => ({ names: [] }), gauges: () => ({ names: 4 }) } as unknown as NodeStatusParts["names"],
    health: {
      pools: [],
      proberCount: 6,
      endpoints: { all: () => [], counts: () => ({ healthyCount: 0, count: 3 }), transitionCount: 2 },
    } as unknown as NodeStatusParts["health"],
    table: EndpointTable.create({ endpointRowsMax: 1, poolRowsMax: 1 }),
    endpointsSeriesMax: 10,
    counters: { ...nodeCounters(), workers_lost: 3 },
    expiries: () => [],
    certificatesSeriesMax: 10,
    attemptsUnderWay: () => 5,
    sync: () => {
      const state = given.sync === undefined ? connected : given.sync;
      return state === null ? null : { state, contact: inContact() };
    },
    readyWhen: given.readyWhen ?? [{ name: "has-config" }, { name: "listeners-up" }],
    identity: () => null,
    isDraining: () => given.isDraining ?? false,
  });
}

describe("nodeStatus", () => {
  it.each([
    { name: "serves", given: {}, want: null },
    { name: "serves without a control plane", given: { sync: null }, want: null },
    { name: "is one worker short", given: { servingCount: 1 }, want: null },
    { name: "has no snapshot", given: { served: null }, want: "no configuration available" },
    { name: "has no worker left", given: { servingCount: 0 }, want: "no worker is ready" },
    { name: "is draining", given: { isDraining: true }, want: "draining" },
  ])("tells whether traffic is wanted by a node that $name", ({ given, want }) => {
    expect(
      statusOf(given)
        .unmetConditions()
        .map(({ reason }) => reason),
    ).toEqual(want === null ? [] : [want]);
  });

  it("asks what it was told to ask", async () => {
    const status = statusOf({ readyWhen: [{ name: "in-sync", withinMs: 1_999 }, { name: "healthy-endpoint" }] });
    expect(status.unmetConditions().map(({ condition }) => condition)).toEqual(["in-sync", "healthy-endpoint"]);
    expect(await status.status()).toMatchObject({ ready: false, ready_when: ["in-sync", "healthy-endpoint"] });
    expect(statusOf({ readyWhen: [{ name: "in-sync", withinMs: 2_000 }] }).unmetConditions()).toEqual([]);
    expect(statusOf({ readyWhen: [{ name: "in-sync", withinMs: 2_000 }], sync: null }).unmetConditions()).toHaveLength(
      1,
    );
  });

  it("tells since when nothing was heard of the control plane", async () => {
    expect(await statusOf().status()).toMatchObject({
      control_plane: { last_word_seconds: 2, out_of_sync_seconds: 2 },
    });
    expect(await statusOf().metrics()).toContainEqual(
      expect.objectContaining({ name: "penstock_control_plane_last_word_seconds", value: 2 }),
    );
  });

  it("tells what is served, by whom, and what was counted", async () => {
    expect(await statusOf().status()).toMatchObject({
      node_id: "n1",
      ready: true,
      publication: 7,
      revision: 5,
      state_hash: "ab".repeat(32),
      control_plane: { connected: true, address: "127.0.0.1:8005", stale: false },
      workers: { count: 2, listening: 2, serving: 2 },
      ejected_endpoints: 1,
      counters: { workers_lost: 3, requests: 9 },
    });
  });

  it.each([
    { name: "there is no stream", sync: null },
    { name: "the stream is lost", sync: { ...connected, connection: "waiting" as const } },
    { name: "the control plane has something newer", sync: { ...connected, newestPublication: 8 } },
  ])("calls the node stale when $name", async ({ sync }) => {
    expect(await statusOf({ sync }).status()).toMatchObject({ control_plane: { stale: true } });
    expect(await statusOf({ sync }).metrics()).toContainEqual(
      expect.objectContaining({ name: "penstock_control_plane_stale", value: 1 }),
    );
  });

  it("shows counts as counters, and what there is now as gauges", async () => {
    const metrics = await statusOf().metrics();
    expect(metrics).toContainEqual(
      expect.objectContaining({ name: "penstock_requests_total", type: "counter", value: 9 }),
    );
    expect(metrics).toContainEqual(
      expect.objectContaining({ name: "penstock_connections_active", type: "gauge", value: 4 }),
    );
    expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
  });
});
