import { pino } from "pino";
import { afterEach } from "vitest";
import { type SyncHub, type SyncHubOptions, startSyncHub } from "../../control-plane/sync/sync-hub.ts";
import { FakeSyncStore } from "./fake-sync-store.ts";
import { ManualClock } from "./manual-clock.ts";
import { ScriptedNode } from "./scripted-node.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A hub on loopback with a clock that the test turns, and scripted nodes; closed when the test has ended. */
export async function startHub<S extends SyncHubOptions["store"] = FakeSyncStore>(
  options: Omit<Partial<SyncHubOptions>, "store"> & { readonly store?: S } = {},
) {
  const store = options.store ?? (new FakeSyncStore() as SyncHubOptions["store"] as S);
  const clock = new ManualClock();
  const log = pino({ level: "silent" });
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const hub = await startSyncHub({ listen, log, clock, closeGraceMs: 50, ...options, store });
  cleanups.push(() => hub.close());
  const address = `127.0.0.1:${hub.addresses[0]!.port}`;
  const connect = () => {
    const node = new ScriptedNode(address);
    cleanups.push(() => node.close());
    return node;
  };
  /** A node that holds what the hub has. */
  const connectServing = async (nodeId: string) => {
    const node = connect();
    node.hello(nodeId);
    const { begin } = await node.ackNextSnapshot();
    await until(hub, (fleet) =>
      fleet.nodes().some(({ id, publication }) => id === nodeId && publication === Number(begin.publication)),
    );
    return node;
  };
  return { hub, fleet: hub.fleet, store, clock, connect, connectServing };
}

/** Resolves when the fleet has come to a state; every change of it comes through the event loop. */
export async function until(hub: SyncHub, isSo: (fleet: SyncHub["fleet"]) => boolean): Promise<void> {
  const giveUpAtMs = Date.now() + 20_000;
  while (!isSo(hub.fleet)) {
    if (Date.now() > giveUpAtMs) throw new Error(`the fleet never came to it: ${JSON.stringify(hub.fleet.nodes())}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export const keepingUp = { who: "keeping-up", timeoutMs: 5_000 } as const;
export const all = { who: "all", timeoutMs: 5_000 } as const;

/** Enough turns of the event loop for anything that is under way on loopback. */
export async function turnsOfTheLoop(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let isSo = false;
  void promise.then(() => {
    isSo = true;
  });
  await turnsOfTheLoop();
  return isSo;
}
