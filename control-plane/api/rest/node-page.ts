import type { Store } from "../../store/store.ts";
import type { ConnectionCounter } from "./connection-counter.ts";
import type { JsonObject } from "./print-resource.ts";
import type { Answer, Endpoint } from "./rest-answer.ts";

/** The level of Kong's Admin API that clients test before they write; ours is beside it. */
const kongVersion = "3.10.0";

const databasePatienceMs = 1000;

/** What `GET /` tells of this control plane. */
export interface NodeIdentity {
  readonly nodeId: string;
  readonly hostname: string;
  /** Penstock's own version. */
  readonly version: string;
  /** Shown under `configuration`, such as `database` and `admin_listen`; no secrets. */
  readonly configuration: JsonObject;
}

/** `GET /`: who is there. Clients of Kong read version, configuration.database, .role and .router_flavor. */
export function nodePage(identity: NodeIdentity, store: Store): Endpoint {
  return () => ({
    status: 200,
    body: {
      tagline: "Welcome to Penstock",
      version: kongVersion,
      penstock_version: identity.version,
      edition: "community",
      hostname: identity.hostname,
      node_id: identity.nodeId,
      revision: store.image.revision,
      configuration: {
        role: "control_plane",
        router_flavor: "traditional_compatible",
        ...identity.configuration,
      },
      // No plugins on this road: clients find empty lists where Kong has them.
      plugins: { available_on_server: {}, enabled_in_cluster: [] },
      timers: { running: 0, pending: 0 },
      pids: { master: process.pid, workers: [] },
    },
  });
}

/** `GET /status`: whether this control plane works, and what it has done. */
export function statusPage(store: Store, connections: ConnectionCounter): Endpoint {
  return async (): Promise<Answer> => {
    const { acceptedCount, activeCount, requestCount, inFlightCount } = connections.counts;
    const memory = process.memoryUsage();
    return {
      status: 200,
      body: {
        server: {
          connections_accepted: acceptedCount,
          connections_handled: acceptedCount,
          connections_active: activeCount,
          connections_reading: 0,
          connections_writing: inFlightCount,
          connections_waiting: Math.max(0, activeCount - inFlightCount),
          total_requests: requestCount,
        },
        // Kong's two lists are of its Lua machines; a client that walks them finds nothing to show.
        memory: {
          workers_lua_vms: [],
          lua_shared_dicts: {},
          process: { rss_bytes: memory.rss, heap_used_bytes: memory.heapUsed },
        },
        database: { reachable: await isReachable(store) },
        revision: store.image.revision,
      },
    };
  };
}

/** Asks the engine itself, in the cheapest way: lists and gets come from memory and would say nothing. */
async function isReachable(store: Store): Promise<boolean> {
  const patience = AbortSignal.timeout(databasePatienceMs);
  return Promise.race([
    store.readChanges(store.image.revision, 1).then(
      () => true,
      () => false,
    ),
    new Promise<boolean>((resolve) => patience.addEventListener("abort", () => resolve(false), { once: true })),
  ]);
}
