import type { NodeViews } from "../observation/node-views.ts";
import type { TrafficViews } from "../observation/traffic-views.ts";
import type { Fleet } from "./fleet.ts";
import type { StreamGate } from "./stream-gate.ts";
import { StreamHub, type StreamHubOptions } from "./stream-hub.ts";
import { STREAM_HUB_DEFAULTS, type StreamHubSettings } from "./stream-hub-settings.ts";
import { type ListenAddress, openSyncListener, type SyncListenerOptions } from "./sync-listener.ts";

export interface SyncHubOptions extends Partial<SyncHubSettings>, Omit<StreamHubOptions, "gate"> {
  /** The first must be bindable; further ones are its twins (IPv6) and take its port where theirs is 0. */
  readonly listen: readonly ListenAddress[];
  /** How the nodes are known, and who may have a stream. Default: the port is plain, and everybody may. */
  readonly secured?: HubSecurity;
}

export interface HubSecurity extends Required<Pick<SyncListenerOptions, "tls" | "services">> {
  readonly gate: StreamGate;
}

/** Every limit and time of the hub, each with its default below or in stream-hub-settings.ts. */
export interface SyncHubSettings extends StreamHubSettings {
  /** Connections at a time and address. */
  readonly connectionMaxCount: number;
  /** Of one message from a node. */
  readonly messageMaxBytes: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Time for streams to end by themselves when closing. */
  readonly closeGraceMs: number;
}

export const SYNC_HUB_DEFAULTS: SyncHubSettings = {
  ...STREAM_HUB_DEFAULTS,
  connectionMaxCount: 8_000,
  messageMaxBytes: 1024 * 1024,
  // Together below 15 s; an answer waits for what is on its way before it (`windowBytes` in sync-stream.ts).
  keepaliveMs: 4_000,
  keepaliveTimeoutMs: 10_000,
  closeGraceMs: 500,
};

export interface SyncHub {
  readonly fleet: Fleet;
  /** What the nodes see of their endpoints. */
  readonly views: NodeViews;
  /** What requests meet there. */
  readonly traffic: TrafficViews;
  /** As bound. */
  readonly addresses: readonly ListenAddress[];
  /** Ends every stream and answers every wait. */
  close(): Promise<void>;
}

/**
 * Serves the nodes of one store: whoever connects is told what it lacks, and every commit goes out to all.
 * Errors: rejects with the error of `listen` (EADDRINUSE, EACCES, ...).
 */
export async function startSyncHub(options: SyncHubOptions): Promise<SyncHub> {
  const settings = { ...SYNC_HUB_DEFAULTS, ...options };
  const { secured } = options;
  const hub = new StreamHub({ ...options, ...(secured === undefined ? {} : { gate: secured.gate }) }, settings);
  const listener = await openSyncListener({ ...settings, ...secured, onConnect: (call) => hub.connect(call) });
  hub.start();
  let closed: Promise<void> | undefined;
  return {
    fleet: hub,
    views: hub.views,
    traffic: hub.traffic,
    addresses: listener.addresses,
    close: () => {
      closed ??= hub.close().then(() => listener.close());
      return closed;
    },
  };
}
