import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { SYNC_HUB_DEFAULTS, startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import { type SyncState, startSyncClient } from "../../data-plane/sync/sync-client.ts";
import { SYNC_CLIENT_DEFAULTS } from "../../data-plane/sync/sync-client-options.ts";
import { FakeSyncStore } from "../support/fake-sync-store.ts";
import { startControlPlane, startDataPlane } from "../support/penstock-processes.ts";

const log = pino({ level: "silent" });
const never = 1e9;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("row 3: a plane that is stopped (SIGSTOP) while its connections stay open", () => {
  it("is noticed by a node: a control plane that answers no ping", async () => {
    const controlPlane = await startControlPlane();
    const isConnected = Promise.withResolvers<void>();
    const isLeft = Promise.withResolvers<SyncState>();
    const client = startSyncClient({
      controlPlanes: [controlPlane.syncAddress],
      hello: { nodeId: "n1", hostname: "h", build: "b", capabilities: [], labels: {}, workerCount: 1 },
      holding: () => null,
      apply: async () => ({ ok: true }),
      onState: (state) => {
        if (state.connection === "connected") isConnected.resolve();
        if (state.connection === "waiting") isLeft.resolve(state);
      },
      log,
      ...{ keepaliveMs: 200, keepaliveTimeoutMs: 1_000, silenceMs: never },
    });
    cleanups.push(() => client.close());
    await isConnected.promise;
    controlPlane.child.kill("SIGSTOP");
    expect((await isLeft.promise).problem).not.toBeNull();
  });

  it("is noticed by a control plane: a node, which comes back when it goes on", async () => {
    const hub = await startSyncHub({
      ...{ store: new FakeSyncStore(), listen: [{ host: "127.0.0.1", port: 0 }], log },
      ...{ keepaliveMs: 200, keepaliveTimeoutMs: 1_000, closeGraceMs: 50 },
    });
    cleanups.push(() => hub.close());
    const isNodeConnected = async (isSo: boolean) => {
      while (hub.fleet.nodes()[0]?.isConnected !== isSo) await new Promise((resolve) => setImmediate(resolve));
    };
    const dataPlane = await startDataPlane(`127.0.0.1:${hub.addresses[0]!.port}`);
    await isNodeConnected(true);
    dataPlane.child.kill("SIGSTOP");
    await isNodeConnected(false);
    dataPlane.child.kill("SIGCONT");
    await isNodeConnected(true);
  });

  it("is noticed within 15 s with the settings that there are", () => {
    for (const { keepaliveMs, keepaliveTimeoutMs } of [SYNC_HUB_DEFAULTS, SYNC_CLIENT_DEFAULTS])
      expect(keepaliveMs + keepaliveTimeoutMs).toBeLessThan(15_000);
    expect(SYNC_CLIENT_DEFAULTS.silenceMs).toBeLessThanOrEqual(15_000);
    // The control plane's own word must come in time, late as its jitter may make it.
    expect(1.2 * SYNC_HUB_DEFAULTS.heartbeatMs).toBeLessThan(SYNC_CLIENT_DEFAULTS.silenceMs);
  });
});
