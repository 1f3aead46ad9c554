import { pino } from "pino";
import { afterEach } from "vitest";
import type { ApplyOutcome, ReceivedSnapshot } from "../../data-plane/snapshot/apply-snapshot.ts";
import type { Holding } from "../../data-plane/sync/judge-offer.ts";
import { type SyncState, startSyncClient } from "../../data-plane/sync/sync-client.ts";
import type { SyncClientOptions } from "../../data-plane/sync/sync-client-options.ts";
import { ManualClock } from "./manual-clock.ts";
import { entity, type ScriptedSyncServer, startScriptedSyncServer } from "./scripted-sync-server.ts";

export const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export const u1 = entity("upstream", { id: "u1", name: "u1" });
export const u2 = entity("upstream", { id: "u2", name: "u2" });

export const helloFacts = {
  ...{ nodeId: "n1", hostname: "h", build: "b", workerCount: 2 },
  ...{ capabilities: ["config.v1"], labels: { zone: "a" } },
};

/** A scripted control plane that is closed when the test has ended. */
export async function startServer(
  options?: Parameters<typeof startScriptedSyncServer>[0],
): Promise<ScriptedSyncServer> {
  const server = await startScriptedSyncServer(options);
  cleanups.push(() => server.close());
  return server;
}

/** A client whose `apply` serves at once, or as the test says. */
export function startClient(addresses: readonly string[], options: Partial<SyncClientOptions> = {}) {
  const clock = new ManualClock();
  const applied: ReceivedSnapshot[] = [];
  const states: SyncState[] = [];
  const waiting = new Set<{ isSo: (state: SyncState) => boolean; resolve: (state: SyncState) => void }>();
  let held: Holding | null = null;
  const serve = (snapshot: ReceivedSnapshot): ApplyOutcome => {
    held = snapshot;
    applied.push(snapshot);
    return { ok: true };
  };
  const client = startSyncClient({
    controlPlanes: addresses,
    hello: helloFacts,
    holding: () => held,
    apply: async (snapshot) => serve(snapshot),
    log: pino({ level: "silent" }),
    clock,
    random: () => 0.5,
    onState: (state) => {
      states.push(state);
      for (const wait of waiting) if (wait.isSo(state)) wait.resolve(state);
    },
    ...options,
  });
  cleanups.push(() => client.close());
  const stateWhere = (isSo: (state: SyncState) => boolean): Promise<SyncState> =>
    isSo(client.state)
      ? Promise.resolve(client.state)
      : new Promise((resolve) => {
          waiting.add({ isSo, resolve });
        });
  return { client, clock, applied, states, serve, stateWhere };
}
