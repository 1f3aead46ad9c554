import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeStatus } from "../../../test/support/node-status.ts";
import { type RestRig, rigTimeMs, startRestRig } from "../../../test/support/rest-rig.ts";
import type { Store } from "../../store/store.ts";
import type { NodeStatus } from "../../sync/fleet.ts";

let rig: RestRig;

beforeAll(async () => {
  rig = await startRestRig();
});
afterAll(() => rig.close());

describe("nodePage, statusPage and nodesRest", () => {
  it("tells Kong's clients what they ask of a node", async () => {
    expect((await rig.send("GET", "/")).json).toMatchObject({
      tagline: expect.any(String),
      version: "3.10.0",
      penstock_version: "0.1.0",
      hostname: "h1",
      node_id: "n1",
      configuration: { database: "sqlite", role: "control_plane", router_flavor: "traditional_compatible" },
      plugins: { available_on_server: {}, enabled_in_cluster: [] },
    });
  });

  it("tells whether it works", async () => {
    const { server, database, memory } = (await rig.send("GET", "/status")).json;
    expect(database).toEqual({ reachable: true });
    // At least this very request; the one before may not be closed yet.
    for (const count of ["total_requests", "connections_accepted", "connections_active", "connections_writing"]) {
      expect(server[count], count).toBeGreaterThanOrEqual(1);
    }
    expect(memory).toMatchObject({ workers_lua_vms: [], lua_shared_dicts: {} });
  });

  it("tells that the store does not answer", async () => {
    const store = { image: { revision: 1 }, readChanges: () => Promise.reject(new Error("closed")) };
    const other = await startRestRig({ store: store as unknown as Store });
    try {
      expect((await other.send("GET", "/status")).json.database).toEqual({ reachable: false });
    } finally {
      await other.close();
    }
  });

  it("tells of each data plane, page by page", async () => {
    rig.fleet.nodeList = [node("n1"), node("n2")];
    const first = (await rig.send("GET", "/clustering/data-planes?size=1")).json;
    expect(first.data).toEqual([
      {
        id: "n1",
        ip: "::1",
        hostname: "host",
        version: "0.1.0",
        config_hash: "ab".repeat(16),
        last_seen: Math.floor(rigTimeMs / 1000) - 60,
        sync_status: "normal",
        labels: { zone: "a" },
        cert_details: {},
        rpc_capabilities: [],
        updated_at: Math.floor(rigTimeMs / 1000) - 60,
        ttl: 14 * 24 * 3600 - 60,
        connected: true,
        revision: 41,
        publication: 42,
        lag: 1,
        workers: 2,
        apply_duration_ms: 3,
        last_nack: {
          publication: 43,
          kept_publication: 42,
          reason: "invalid",
          message: "m",
          entity_kind: "route",
          entity_id: "i",
          entity_name: "r",
          field: "paths.0",
          received_at: 1,
        },
        nacks: 2,
        state: "lagging",
        state_reason: "1 publications behind for 4 s",
        lag_seconds: 4,
        connected_since: 0,
        epoch: { counter: 7, id: "01".repeat(16) },
        state_hash: "ab".repeat(32),
        figures: {
          at: Math.floor(rigTimeMs / 1000),
          requests_per_second: 12.5,
          error_ratio: 0.1,
          requests: 100,
          failures: 10,
          connections: 3,
          endpoints: 5,
          healthy_endpoints: 4,
          workers: [{ number: 0, role: "serving", publication: 42, requests: 100, connections: 3, heap_bytes: 9 }],
        },
        unsupported: [
          {
            capability: "config.tiers",
            feature: "tiers",
            entity_count: 1,
            entities: [{ kind: "target", id: "t", name: "a:80", field: "zone" }],
          },
        ],
      },
    ]);
    const second = (await rig.send("GET", first.next)).json;
    expect(second.data.map((row: { id: string }) => row.id)).toEqual(["n2"]);
    expect(second.next).toBeNull();
    expect((await rig.send("GET", "/clustering/data-planes?offset=*")).json.code).toBe(7);
  });

  it("tells the same in Kong's older form", async () => {
    rig.fleet.nodeList = [node("n1")];
    const answer = await rig.send("GET", "/clustering/status");
    expect(answer.headers["deprecation"]).toBe("true");
    expect(answer.json).toEqual({
      n1: {
        config_hash: "ab".repeat(16),
        hostname: "host",
        ip: "::1",
        last_seen: Math.floor(rigTimeMs / 1000) - 60,
      },
    });
  });

  it("forgets a node that is gone, and no other", async () => {
    rig.fleet.nodeList = [node("n1"), { ...node("n2"), isConnected: false }];
    const statuses = [];
    for (const id of ["n1", "n2", "n2"]) statuses.push((await rig.send("POST", `/nodes/${id}/forget`)).status);
    expect(statuses).toEqual([409, 204, 404]);
    expect(rig.fleet.nodes().map(({ id }) => id)).toEqual(["n1"]);
  });

  it("counts the nodes for Prometheus", async () => {
    const away = { ...node("n2"), isConnected: false, state: "stale" as const, lag: 9, lagMs: 60_000 };
    rig.fleet.nodeList = [node("n1"), away];
    rig.fleet.nackCount = 3;
    const { headers, text } = await rig.send("GET", "/metrics");
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    for (const line of [
      'penstock_nodes{state="in_sync"} 0',
      'penstock_nodes{state="lagging"} 1',
      'penstock_nodes{state="stale"} 1',
      "penstock_nodes_connected 1",
      "penstock_nodes_too_old 1",
      "penstock_node_lag_publications_max 1",
      "penstock_node_lag_seconds_max 4",
      "penstock_node_nacks_total 3",
    ])
      expect(text.split("\n")).toContain(line);
  });

  it("shows a node that serves nothing with a hash of zeros", async () => {
    rig.fleet.nodeList = [{ ...node("n1"), publication: 0, stateHash: new Uint8Array(), lastNack: null }];
    const { data } = (await rig.send("GET", "/clustering/data-planes")).json;
    expect(data).toMatchObject([{ config_hash: "0".repeat(32), sync_status: "unknown", last_nack: null }]);
  });
});

function node(id: string): NodeStatus {
  return nodeStatus({
    id,
    hostname: "host",
    address: "::1:50123",
    build: "0.1.0",
    labels: { zone: "a" },
    capabilities: [],
    workerCount: 2,
    isConnected: true,
    connectedAtUnixMs: 0,
    lastSeenAtUnixMs: rigTimeMs - 60_000,
    publication: 42,
    revision: 41,
    stateHash: new Uint8Array(32).fill(0xab),
    lag: 1,
    applyDurationMs: 3,
    lastNack: {
      publication: 43,
      entityKind: "route",
      entityId: "i",
      entityName: "r",
      field: "paths.0",
      message: "m",
      reason: "invalid",
      keptPublication: 42,
      receivedAtUnixMs: 1500,
    },
    nackCount: 2,
    state: "lagging",
    stateReason: "1 publications behind for 4 s",
    lagMs: 4_000,
    epoch: { counter: 7, id: new Uint8Array(16).fill(1) },
    figures: {
      atUnixMs: rigTimeMs,
      requestsPerSecond: 12.5,
      errorRatio: 0.1,
      requestCount: 100,
      failureCount: 10,
      connectionCount: 3,
      endpointCount: 5,
      healthyEndpointCount: 4,
      workers: [{ number: 0, role: "serving", publication: 42, requestCount: 100, connectionCount: 3, heapBytes: 9 }],
      lostWorkerCount: 0,
    },
    unsupported: [
      {
        capability: "config.tiers",
        feature: "tiers",
        entityCount: 1,
        entities: [{ kind: "target", id: "t", name: "a:80", field: "zone" }],
      },
    ],
  });
}
