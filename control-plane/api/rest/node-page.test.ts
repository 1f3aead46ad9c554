import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
      },
    ]);
    const second = (await rig.send("GET", first.next)).json;
    expect(second.data.map((row: { id: string }) => row.id)).toEqual(["n2"]);
    expect(second.next).toBeNull();
    expect((await rig.send("GET", "/clustering/data-planes?offset=*")).json.code).toBe(7);
  });

  it("shows a node that serves nothing with a hash of zeros", async () => {
    rig.fleet.nodeList = [{ ...node("n1"), publication: 0, stateHash: new Uint8Array(), lastNack: null }];
    const { data } = (await rig.send("GET", "/clustering/data-planes")).json;
    expect(data).toMatchObject([{ config_hash: "0".repeat(32), sync_status: "unknown", last_nack: null }]);
  });
});

function node(id: string): NodeStatus {
  return {
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
  };
}
